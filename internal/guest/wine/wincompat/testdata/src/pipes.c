/* pipes: anonymous and named pipes, overlapped and by message, mailslots. */
#include "found.h"

static wchar_t name[200];

static DWORD WINAPI client(void *arg)
{
    char buf[64];
    DWORD n = 0, mode = PIPE_READMODE_MESSAGE;
    HANDLE h;

    (void)arg;
    if (!WaitNamedPipeW(name, NMPWAIT_WAIT_FOREVER)) return 1;
    h = CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (h == INVALID_HANDLE_VALUE) return 2;
    if (!SetNamedPipeHandleState(h, &mode, NULL, NULL)) return 3;
    if (!TransactNamedPipe(h, "question", 8, buf, sizeof buf, &n, NULL)) return 4;
    WriteFile(h, buf, n, &n, NULL);
    WriteFile(h, "", 0, &n, NULL);
    ReadFile(h, buf, 1, &n, NULL);
    CloseHandle(h);
    return 10 + n;
}

/* ended waits for an overlapped call that has returned ok. */
static BOOL ended(HANDLE pipe, BOOL ok, OVERLAPPED *o, DWORD *n)
{
    if (!ok && GetLastError() != ERROR_IO_PENDING) return GetLastError() == ERROR_MORE_DATA && GetOverlappedResult(pipe, o, n, TRUE);
    return GetOverlappedResult(pipe, o, n, TRUE);
}

static void anonymous(void)
{
    HANDLE r, w;
    char buf[100000];
    DWORD n, left;
    int ok;

    say("CreatePipe", "%d", CreatePipe(&r, &w, NULL, 0));
    ok = WriteFile(w, "through a pipe", 14, &n, NULL);
    say("write", "%d %lu", ok, n);
    ok = PeekNamedPipe(r, buf, 7, &n, &left, NULL);
    say("peek", "%d %lu of %lu", ok, n, left);
    ok = ReadFile(r, buf, sizeof buf, &n, NULL);
    say("read", "%d %.*s", ok, (int)n, buf);
    say("type", "%lu", GetFileType(r));
    CloseHandle(w);
    tried("read when closed", ReadFile(r, buf, 1, &n, NULL));
    CloseHandle(r);
    CreatePipe(&r, &w, NULL, 0);
    CloseHandle(r);
    tried("write when closed", WriteFile(w, "x", 1, &n, NULL));
    CloseHandle(w);
}

static void by_name(void)
{
    OVERLAPPED o = { .hEvent = CreateEventW(NULL, TRUE, FALSE, NULL) };
    HANDLE pipe, t;
    char buf[64] = "";
    DWORD n = 0, code, e, flags, out, in, most;
    int ok;

    wsprintfW(name, L"\\\\.\\pipe\\%s", own(L"pipe"));
    tried("no pipe yet", WaitNamedPipeW(name, 10));
    pipe = CreateNamedPipeW(name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
        PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE, 1, 4096, 2048, 0, NULL);
    say("CreateNamedPipe", "%d", pipe != INVALID_HANDLE_VALUE);
    ok = CreateNamedPipeW(name, PIPE_ACCESS_DUPLEX, PIPE_TYPE_MESSAGE, 1, 4096, 4096, 0, NULL) != INVALID_HANDLE_VALUE;
    e = GetLastError();
    say("one more instance", "%d %lu", ok, e);
    GetNamedPipeInfo(pipe, &flags, &out, &in, &most);
    say("GetNamedPipeInfo", "%lx %lu %lu %lu", flags, out, in, most);
    tried("ConnectNamedPipe", ConnectNamedPipe(pipe, &o));
    t = CreateThread(NULL, 0, client, NULL, 0, NULL);
    say("connected", "%d", GetOverlappedResult(pipe, &o, &n, TRUE));
    tried("read", ended(pipe, ReadFile(pipe, buf, sizeof buf, NULL, &o), &o, &n));
    say("question", "%lu %.*s", n, (int)n, buf);
    tried("write", ended(pipe, WriteFile(pipe, "the answer", 10, NULL, &o), &o, &n));
    tried("read half a message", ended(pipe, ReadFile(pipe, buf, 4, NULL, &o), &o, &n));
    say("half", "%.*s", (int)n, buf);
    tried("read the rest", ended(pipe, ReadFile(pipe, buf, 64, NULL, &o), &o, &n));
    say("the rest", "%.*s", (int)n, buf);
    tried("read an empty one", ended(pipe, ReadFile(pipe, buf, 64, NULL, &o), &o, &n));
    say("has", "%lu", n);
    tried("write", ended(pipe, WriteFile(pipe, "!", 1, NULL, &o), &o, &n));
    WaitForSingleObject(t, INFINITE);
    GetExitCodeThread(t, &code);
    say("client", "%lu", code);
    tried("read when the client has gone", ended(pipe, ReadFile(pipe, buf, 64, NULL, &o), &o, &n));
    tried("DisconnectNamedPipe", DisconnectNamedPipe(pipe));
    tried("connect again", ConnectNamedPipe(pipe, &o));
    tried("CancelIo", CancelIo(pipe));
    tried("cancelled", GetOverlappedResult(pipe, &o, &n, TRUE));
    CloseHandle(pipe);
}

static void mailslot(void)
{
    wchar_t slot[200];
    HANDLE r, w;
    char buf[64];
    DWORD n, next = 0, count = 0;
    int ok;

    wsprintfW(slot, L"\\\\.\\mailslot\\%s", own(L"slot"));
    r = CreateMailslotW(slot, 0, 0, NULL);
    w = CreateFileW(slot, GENERIC_WRITE, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    say("mailslot", "%d %d", r != INVALID_HANDLE_VALUE, w != INVALID_HANDLE_VALUE);
    WriteFile(w, "first", 5, &n, NULL);
    WriteFile(w, "second!", 7, &n, NULL);
    GetMailslotInfo(r, NULL, &next, &count, NULL);
    say("waiting", "%lu", next);
    ok = ReadFile(r, buf, sizeof buf, &n, NULL);
    say("a letter", "%d %.*s", ok, (int)n, buf);
    ok = ReadFile(r, buf, sizeof buf, &n, NULL);
    say("the next", "%d %.*s", ok, (int)n, buf);
}

int main(void)
{
    anonymous();
    by_name();
    mailslot();
    return 0;
}
