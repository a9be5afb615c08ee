/* threads: threads and what they wait for: TLS, events, mutexes, semaphores, condition
 * variables, thread pool, timers, fibers, deep stacks. */
#define _WIN32_WINNT 0x0A00
#include <process.h>
#include "found.h"

static DWORD slot;
static __thread int of_thread = 5;

static DWORD WINAPI count_tls(void *arg)
{
    DWORD before = (DWORD)(ULONG_PTR)TlsGetValue(slot);

    TlsSetValue(slot, arg);
    of_thread += (int)(ULONG_PTR)arg;
    SwitchToThread();
    return before == 0 && TlsGetValue(slot) == arg && of_thread == 5 + (int)(ULONG_PTR)arg;
}

static void tls(void)
{
    HANDLE t[8];
    DWORD code, right = 0;
    int i;

    slot = TlsAlloc();
    TlsSetValue(slot, (void *)77);
    for (i = 0; i < 8; i++) t[i] = CreateThread(NULL, 0, count_tls, (void *)(ULONG_PTR)(i + 1), 0, NULL);
    say("all threads end", "%lu", WaitForMultipleObjects(8, t, TRUE, INFINITE));
    for (i = 0; i < 8; i++) {
        GetExitCodeThread(t[i], &code);
        right += code;
        CloseHandle(t[i]);
    }
    say("TLS is right in", "%lu of 8", right);
    say("TLS of the first", "%d %d", (int)(ULONG_PTR)TlsGetValue(slot), of_thread);
    say("TlsFree", "%d", TlsFree(slot));
}

static CRITICAL_SECTION section;
static SRWLOCK lock = SRWLOCK_INIT;
static HANDLE mutex, semaphore;
static LONG in_section, in_mutex, in_lock, atomic;

static unsigned __stdcall add(void *arg)
{
    int i;

    (void)arg;
    for (i = 0; i < 1000; i++) {
        EnterCriticalSection(&section);
        in_section++;
        LeaveCriticalSection(&section);
        AcquireSRWLockExclusive(&lock);
        in_lock++;
        ReleaseSRWLockExclusive(&lock);
        InterlockedIncrement(&atomic);
    }
    for (i = 0; i < 50; i++) {
        WaitForSingleObject(mutex, INFINITE);
        in_mutex++;
        ReleaseMutex(mutex);
    }
    WaitForSingleObject(semaphore, INFINITE);
    return 9;
}

static void locks(void)
{
    HANDLE t[4];
    LONG had = -1;
    DWORD code;
    int i;

    InitializeCriticalSectionAndSpinCount(&section, 100);
    mutex = CreateMutexW(NULL, FALSE, NULL);
    semaphore = CreateSemaphoreW(NULL, 0, 4, NULL);
    for (i = 0; i < 4; i++) t[i] = (HANDLE)_beginthreadex(NULL, 0, add, NULL, 0, NULL);
    say("semaphore holds them", "%lu", WaitForMultipleObjects(4, t, FALSE, 0));
    i = ReleaseSemaphore(semaphore, 4, &had);
    say("ReleaseSemaphore", "%d, had %ld", i, had);
    WaitForMultipleObjects(4, t, TRUE, INFINITE);
    GetExitCodeThread(t[3], &code);
    say("counted", "%ld %ld %ld %ld code %lu", in_section, in_lock, in_mutex, atomic, code);
    tried("semaphore too many", ReleaseSemaphore(semaphore, 5, &had));
    tried("mutex of nobody", ReleaseMutex(mutex));
}

static DWORD WINAPI abandon(void *arg) { WaitForSingleObject(arg, INFINITE); return 0; }

static void named(void)
{
    const wchar_t *name = own(L"mutex");
    HANDLE a = CreateMutexW(NULL, FALSE, name), b, t;
    DWORD e = GetLastError();

    say("named mutex", "%d error %lu", a != NULL, e);
    b = CreateMutexW(NULL, FALSE, name);
    e = GetLastError();
    say("again", "%d error %lu", b != NULL, e);
    b = OpenEventW(EVENT_ALL_ACCESS, FALSE, name);
    e = GetLastError();
    say("opened as an event", "%d error %lu", b != NULL, e);
    t = CreateThread(NULL, 0, abandon, a, 0, NULL);
    WaitForSingleObject(t, INFINITE);
    say("abandoned", "0x%lx", WaitForSingleObject(a, 0));
    tried("event in a bad place", (b = CreateEventW(NULL, TRUE, FALSE, own(L"Global\\no"))) != NULL);
}

static CONDITION_VARIABLE turned = CONDITION_VARIABLE_INIT;
static int turn;

static DWORD WINAPI take_turns(void *arg)
{
    int me = (int)(ULONG_PTR)arg, i;

    for (i = 0; i < 20; i++) {
        EnterCriticalSection(&section);
        while (turn % 3 != me) SleepConditionVariableCS(&turned, &section, INFINITE);
        turn++;
        LeaveCriticalSection(&section);
        WakeAllConditionVariable(&turned);
    }
    return 0;
}

static void conditions(void)
{
    HANDLE t[3], e;
    DWORD r;
    int i;

    for (i = 0; i < 3; i++) t[i] = CreateThread(NULL, 0, take_turns, (void *)(ULONG_PTR)i, 0, NULL);
    WaitForMultipleObjects(3, t, TRUE, INFINITE);
    say("turns", "%d", turn);
    EnterCriticalSection(&section);
    i = SleepConditionVariableCS(&turned, &section, 1);
    r = GetLastError();
    LeaveCriticalSection(&section);
    say("condition times out", "%d error %lu", i, r);
    e = CreateEventW(NULL, FALSE, TRUE, NULL);
    say("auto event", "%lu", WaitForSingleObject(e, 0));
    say("auto event is reset", "%lu", WaitForSingleObject(e, 0));
    say("SignalObjectAndWait", "%lu", SignalObjectAndWait(e, e, 1000, FALSE));
    say("TryEnterCriticalSection", "%d", TryEnterCriticalSection(&section));
    LeaveCriticalSection(&section);
}

static volatile LONG worked, timed, once;
static HANDLE all_worked;

static void CALLBACK work(PTP_CALLBACK_INSTANCE i, void *arg, PTP_WORK w) { (void)i; (void)arg; (void)w; InterlockedIncrement(&worked); }
static void CALLBACK tick(void *arg, BOOLEAN fired) { (void)fired; InterlockedIncrement(&timed); SetEvent(arg); }
static DWORD WINAPI queued(void *arg) { SetEvent(arg); return 0; }
static void CALLBACK apc(ULONG_PTR arg) { worked += (LONG)arg; }
static void CALLBACK timer_apc(void *arg, DWORD low, DWORD high) { (void)low; (void)high; *(int *)arg = 1; }
static BOOL CALLBACK init(PINIT_ONCE o, void *arg, void **context) { (void)o; (void)arg; once++; *context = (void *)8; return TRUE; }

static void pool(void)
{
    PTP_WORK w = CreateThreadpoolWork(work, NULL, NULL);
    INIT_ONCE only = INIT_ONCE_STATIC_INIT;
    LARGE_INTEGER due = { .QuadPart = -10000 };
    HANDLE timer, queue, wait;
    void *context = NULL;
    int i, ran = 0;

    for (i = 0; i < 50; i++) SubmitThreadpoolWork(w);
    WaitForThreadpoolWorkCallbacks(w, FALSE);
    CloseThreadpoolWork(w);
    say("thread pool", "%ld", worked);
    all_worked = CreateEventW(NULL, FALSE, FALSE, NULL);
    QueueUserWorkItem(queued, all_worked, WT_EXECUTEDEFAULT);
    say("QueueUserWorkItem", "%lu", WaitForSingleObject(all_worked, INFINITE));
    queue = CreateTimerQueue();
    CreateTimerQueueTimer(&timer, queue, tick, all_worked, 1, 0, 0);
    say("timer queue", "%lu", WaitForSingleObject(all_worked, INFINITE));
    DeleteTimerQueueEx(queue, INVALID_HANDLE_VALUE);
    RegisterWaitForSingleObject(&wait, CreateEventW(NULL, FALSE, TRUE, NULL), tick, all_worked, INFINITE, WT_EXECUTEONLYONCE);
    say("registered wait", "%lu", WaitForSingleObject(all_worked, INFINITE));
    UnregisterWaitEx(wait, INVALID_HANDLE_VALUE);
    say("ticks", "%ld", timed);
    worked = 0;
    QueueUserAPC(apc, GetCurrentThread(), 5);
    i = SleepEx(INFINITE, TRUE);
    say("APC", "%d %ld", i, worked);
    timer = CreateWaitableTimerW(NULL, FALSE, NULL);
    SetWaitableTimer(timer, &due, 0, timer_apc, &ran, FALSE);
    while (!ran) SleepEx(INFINITE, TRUE);
    say("waitable timer", "%lu", WaitForSingleObject(timer, INFINITE));
    InitOnceExecuteOnce(&only, init, NULL, &context);
    InitOnceExecuteOnce(&only, init, NULL, &context);
    say("once", "%ld %d", once, (int)(ULONG_PTR)context);
}

static void *home, *away;
static int visits;

static void CALLBACK fiber(void *arg)
{
    for (;;) {
        visits += *(int *)arg;
        SwitchToFiber(home);
    }
}

static void fibers(void)
{
    int step = 3, i;
    DWORD local;

    home = ConvertThreadToFiber((void *)0x55);
    say("fiber data", "%d", (int)(ULONG_PTR)GetFiberData());
    away = CreateFiber(65536, fiber, &step);
    for (i = 0; i < 4; i++) SwitchToFiber(away);
    say("fiber visits", "%d", visits);
    local = FlsAlloc(NULL);
    FlsSetValue(local, (void *)4);
    say("FLS", "%d", (int)(ULONG_PTR)FlsGetValue(local));
    DeleteFiber(away);
    say("ConvertFiberToThread", "%d", ConvertFiberToThread());
}

/* A frame of 4 KB each, written and read again on the way back. */
static unsigned dive(unsigned depth)
{
    volatile unsigned char frame[4000];
    unsigned i, below;

    for (i = 0; i < sizeof frame; i += 100) frame[i] = (unsigned char)(depth + i);
    below = depth ? dive(depth - 1) : 0;
    for (i = 0; i < sizeof frame; i += 100)
        if (frame[i] != (unsigned char)(depth + i)) return 1000000;
    return below + 1;
}

static DWORD WINAPI diver(void *arg) { return dive((unsigned)(ULONG_PTR)arg); }

static DWORD WINAPI limits(void *arg)
{
    ULONG_PTR low, high;
    volatile char here = 0;

    (void)arg;
    GetCurrentThreadStackLimits(&low, &high);
    return here == 0 && (ULONG_PTR)&here > low && (ULONG_PTR)&here < high ? (DWORD)(high - low) : 0;
}

static DWORD in_thread(DWORD (WINAPI *run)(void *), ULONG_PTR arg, SIZE_T stack, DWORD flags)
{
    HANDLE t = CreateThread(NULL, stack, run, (void *)arg, flags, NULL);
    DWORD code = 0;

    if (!t) return 0;
    WaitForSingleObject(t, INFINITE);
    GetExitCodeThread(t, &code);
    CloseHandle(t);
    return code;
}

static void stacks(void)
{
    /* The main thread's stack is that of the file's header: 2 MB as mingw links. */
    say("main thread, 1.4 MB deep", "%u", dive(350));
    say("main thread, again", "%u", dive(350));
    say("a thread, 1.4 MB deep", "%lu", in_thread(diver, 350, 0, 0));
    say("a thread of 16 MB, 14 MB deep", "%lu", in_thread(diver, 3500, 16 << 20, STACK_SIZE_PARAM_IS_A_RESERVATION));
    say("a thread of 16 MB committed, 14 MB deep", "%lu", in_thread(diver, 3500, 16 << 20, 0));
    say("stack of a thread", "%lu", in_thread(limits, 0, 0, 0));
    say("stack of a thread of 8 MB", "%lu", in_thread(limits, 0, 8 << 20, STACK_SIZE_PARAM_IS_A_RESERVATION));
    say("stack of the first thread", "%lu", limits(NULL));
}

static DWORD WINAPI suspended(void *arg) { InterlockedExchange(arg, 1); return 0; }
static DWORD WINAPI forever(void *arg) { SetEvent(arg); for (;;) Sleep(INFINITE); return 0; }

static void control(void)
{
    LONG ran = 0;
    DWORD code = 0;
    HANDLE t = CreateThread(NULL, 0, suspended, &ran, CREATE_SUSPENDED, NULL), runs;
    int i;

    say("suspended", "%lu ran %ld", WaitForSingleObject(t, 5), ran);
    say("SuspendThread", "%lu", SuspendThread(t));
    say("ResumeThread", "%lu", ResumeThread(t));
    say("ResumeThread again", "%lu", ResumeThread(t));
    WaitForSingleObject(t, INFINITE);
    say("ran", "%ld", ran);
    runs = CreateEventW(NULL, FALSE, FALSE, NULL);
    t = CreateThread(NULL, 0, forever, runs, 0, NULL);
    WaitForSingleObject(runs, INFINITE); /* one that is still starting holds locks, and is terminated with them */
    i = GetExitCodeThread(t, &code);
    say("still active", "%d %lu", i, code);
    i = SetThreadPriority(t, THREAD_PRIORITY_ABOVE_NORMAL);
    say("priority", "%d %d", i, GetThreadPriority(t));
    TerminateThread(t, 99);
    WaitForSingleObject(t, INFINITE);
    GetExitCodeThread(t, &code);
    say("terminated", "%lu", code);
    say("GetThreadId", "%d", GetThreadId(GetCurrentThread()) == GetCurrentThreadId());
}

static volatile LONG watched;
static DWORD WINAPI waker(void *arg) { (void)arg; watched = 1; WakeByAddressAll((void *)&watched); return 0; }

static void addresses(void)
{
    LONG zero = 0;
    HANDLE t = CreateThread(NULL, 0, waker, NULL, 0, NULL);

    while (!watched) WaitOnAddress(&watched, &zero, sizeof zero, INFINITE);
    say("WaitOnAddress", "%ld", watched);
    WaitForSingleObject(t, INFINITE);
}

int main(void)
{
    tls();
    locks();
    named();
    conditions();
    pool();
    fibers();
    stacks();
    control();
    addresses();
    return 0;
}
