/* exceptions: hardware and software exceptions, vectored handlers, the last filter, unwinding. */
#include <intrin.h>
#include <setjmp.h>
#include "found.h"

static jmp_buf back;
static volatile DWORD code, flags, count, parameters;
static volatile ULONG_PTR where;
static volatile BOOL over; /* a handler that was left by longjmp stays, even when it is removed */

static LONG CALLBACK vectored(EXCEPTION_POINTERS *x)
{
    if (over) return EXCEPTION_CONTINUE_SEARCH;
    code = x->ExceptionRecord->ExceptionCode;
    flags = x->ExceptionRecord->ExceptionFlags;
    parameters = x->ExceptionRecord->NumberParameters;
    where = parameters > 1 ? x->ExceptionRecord->ExceptionInformation[1] : 0;
    count++;
    if (code == 0xE0000001) return EXCEPTION_CONTINUE_EXECUTION;
    if (code == EXCEPTION_BREAKPOINT) { x->ContextRecord->Rip++; return EXCEPTION_CONTINUE_EXECUTION; }
    if (code == EXCEPTION_STACK_OVERFLOW) return EXCEPTION_CONTINUE_SEARCH;
    longjmp(back, 1);
}

static LONG CALLBACK second(EXCEPTION_POINTERS *x) { (void)x; count += 100; return EXCEPTION_CONTINUE_SEARCH; }

static void told(const char *name) { say(name, "%lx flags %lx parameters %lu at %I64x count %lu", code, flags, parameters, (unsigned long long)where, count); code = flags = parameters = 0; where = 0; }

static void hardware(void)
{
    volatile int zero = 0, one = 1;
    volatile double d = 0;

    if (!setjmp(back)) *(volatile int *)0x10 = 1;
    told("write to nothing");
    if (!setjmp(back)) one = *(volatile int *)0x20;
    told("read from nothing");
    if (!setjmp(back)) one = one / zero;
    told("integer divided by zero");
    if (!setjmp(back)) __asm__ volatile("ud2");
    told("illegal instruction");
    if (!setjmp(back)) __asm__ volatile("hlt");
    told("privileged instruction");
    __debugbreak();
    told("breakpoint");
    if (!setjmp(back)) __asm__ volatile("movabs $0x8000000000000000, %%rax\n\tmovl (%%rax), %%eax" ::: "rax");
    told("not an address");
    if (!setjmp(back)) { volatile int least = (int)0x80000000, minus = -1; one = least / minus; }
    told("integer overflow");
    d = 1 / d;
    say("1/0", "%g", (double)d);
}

/* wide says whether a wide register is as before after an exception from which the program goes on. */
static int wide(void)
{
    double in[4] = { 1, 2, 3, 4 }, out[4] = { 0 };
    int r[4];

    __cpuid(r, 1);
    if (!(r[2] & (1 << 28))) return 1; /* there is none */
    __asm__ volatile("vmovupd %1, %%ymm6\n\tint3\n\tvmovupd %%ymm6, %0\n\tvzeroupper" : "=m"(out) : "m"(in) : "xmm6", "memory");
    return !memcmp(in, out, sizeof in);
}

static void software(void)
{
    ULONG_PTR args[3] = { 1, 2, 3 };

    RaiseException(0xE0000001, 0, 3, args);
    told("continued");
    say("wide registers are kept", "%d", wide());
    if (!setjmp(back)) RaiseException(0xE0000002, EXCEPTION_NONCONTINUABLE, 1, args);
    told("not continuable");
    if (!setjmp(back)) RaiseException(0x406D1388, 0, 2, args);
    told("thread's name");
}

static volatile unsigned char sink;

static int endless(int n)
{
    volatile unsigned char frame[8000];

    frame[0] = frame[7999] = (unsigned char)n;
    sink = frame[0];
    return endless(n + 1) + frame[7999];
}

static LONG WINAPI last(EXCEPTION_POINTERS *x)
{
    say("last filter", "%lx", x->ExceptionRecord->ExceptionCode);
    ExitProcess(44);
}

static DWORD WINAPI overflow(void *arg) { return (DWORD)endless((int)(ULONG_PTR)arg); }

static LONG CALLBACK at_overflow(EXCEPTION_POINTERS *x)
{
    if (x->ExceptionRecord->ExceptionCode == EXCEPTION_STACK_OVERFLOW) ExitThread(33);
    return EXCEPTION_CONTINUE_SEARCH;
}

static void stack(void)
{
    void *h = AddVectoredExceptionHandler(0, at_overflow);
    HANDLE t = CreateThread(NULL, 0, overflow, NULL, 0, NULL);
    DWORD r = 0;

    WaitForSingleObject(t, INFINITE);
    GetExitCodeThread(t, &r);
    say("stack overflow of a thread", "%lu", r);
    say("removed", "%lu", RemoveVectoredExceptionHandler(h));
}

static void walk(void)
{
    void *frames[32], *base = NULL;
    USHORT n = CaptureStackBackTrace(0, 32, frames, NULL);
    CONTEXT c = { .ContextFlags = CONTEXT_FULL };
    DWORD64 image = 0;

    RtlPcToFileHeader((void *)walk, &base);
    say("CaptureStackBackTrace", "%d %d", n > 1, base == (void *)GetModuleHandleW(NULL));
    RtlCaptureContext(&c);
    say("RtlLookupFunctionEntry", "%d %d", RtlLookupFunctionEntry(c.Rip, &image, NULL) != NULL, image == (DWORD64)(ULONG_PTR)GetModuleHandleW(NULL));
}

int main(void)
{
    void *v = AddVectoredExceptionHandler(1, vectored), *w = AddVectoredExceptionHandler(0, second);

    hardware();
    software();
    say("RemoveVectoredExceptionHandler", "%lu %lu", RemoveVectoredExceptionHandler(v), RemoveVectoredExceptionHandler(w));
    over = TRUE;
    stack();
    walk();
    SetUnhandledExceptionFilter(last);
    *(volatile int *)0x30 = 1;
    return 1;
}
