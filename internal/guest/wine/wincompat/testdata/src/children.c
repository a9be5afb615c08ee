/* children: starts itself and cmd: inherited handles and environment, exit codes, jobs,
 * handles that are duplicated, processes that are ended. Called "child WORD …" it is the child. */
#define _WIN32_WINNT 0x0A00
#include <stdlib.h>
#include "found.h"

static wchar_t self[MAX_PATH];

static LONG WINAPI give_up(EXCEPTION_POINTERS *x) { ExitProcess(x->ExceptionRecord->ExceptionCode); }

static int child(int argc, wchar_t **argv)
{
    wchar_t value[100] = L"";
    HANDLE h;
    DWORD n;

    if (!wcscmp(argv[2], L"code")) return (int)wcstoul(argv[3], NULL, 0);
    if (!wcscmp(argv[2], L"sleep")) Sleep(INFINITE);
    if (!wcscmp(argv[2], L"unhandled")) { /* a debugger would wait for somebody */
        SetUnhandledExceptionFilter(give_up);
        *(volatile int *)8 = 1;
    }
    if (!wcscmp(argv[2], L"words")) {
        for (n = 3; n < (DWORD)argc; n++) printf("[%s]", plain(argv[n]));
        return 0;
    }
    if (!wcscmp(argv[2], L"environment")) {
        n = GetEnvironmentVariableW(argv[3], value, 100);
        printf("%lu %s", n, plain(value));
        return 0;
    }
    if (!wcscmp(argv[2], L"handle")) {
        h = (HANDLE)(ULONG_PTR)wcstoul(argv[3], NULL, 0);
        return WriteFile(h, "by handle", 9, &n, NULL) ? 0 : (int)GetLastError();
    }
    if (!wcscmp(argv[2], L"signal")) {
        h = OpenEventW(EVENT_MODIFY_STATE, FALSE, argv[3]);
        return h && SetEvent(h) ? 0 : 1;
    }
    if (!wcscmp(argv[2], L"copy")) {
        int c;
        while ((c = getchar()) != EOF) putchar(c + 1);
        return 0;
    }
    return 99;
}

/* start starts a command line with streams and environment; input may be NULL. */
static BOOL start(const wchar_t *line, HANDLE in, HANDLE out, const void *env, DWORD flags, PROCESS_INFORMATION *p)
{
    STARTUPINFOW si = { .cb = sizeof si, .dwFlags = STARTF_USESTDHANDLES, .hStdInput = in, .hStdOutput = out, .hStdError = out };
    wchar_t copy[2000];

    wcscpy(copy, line);
    return CreateProcessW(NULL, copy, NULL, NULL, TRUE, flags, (void *)env, NULL, &si, p);
}

/* run runs a command line to its end; what it wrote and its code are said. */
static void run(const char *name, const wchar_t *line, const char *input, const void *env, DWORD flags)
{
    SECURITY_ATTRIBUTES inherit = { sizeof inherit, NULL, TRUE };
    PROCESS_INFORMATION p;
    HANDLE out, to, in, from;
    char buf[1000];
    DWORD n, got = 0, code = 0;

    CreatePipe(&from, &out, &inherit, 0);
    SetHandleInformation(from, HANDLE_FLAG_INHERIT, 0);
    CreatePipe(&in, &to, &inherit, 0);
    SetHandleInformation(to, HANDLE_FLAG_INHERIT, 0);
    if (!start(line, in, out, env, flags, &p)) {
        say(name, "error %lu", GetLastError());
        return;
    }
    CloseHandle(out);
    CloseHandle(in);
    if (input) WriteFile(to, input, (DWORD)strlen(input), &n, NULL);
    CloseHandle(to);
    while (got < sizeof buf - 1 && ReadFile(from, buf + got, sizeof buf - 1 - got, &n, NULL) && n) got += n;
    buf[got] = 0;
    for (n = 0; n < got; n++) if (buf[n] == '\r' || buf[n] == '\n') buf[n] = '/';
    WaitForSingleObject(p.hProcess, INFINITE);
    GetExitCodeProcess(p.hProcess, &code);
    CloseHandle(p.hProcess);
    CloseHandle(p.hThread);
    CloseHandle(from);
    say(name, "0x%lx %s", code, buf);
}

static const wchar_t *me(const wchar_t *words)
{
    static wchar_t line[2000];

    wsprintfW(line, L"\"%s\" child %s", self, words);
    return line;
}

static void codes(void)
{
    run("code 0", me(L"code 0"), NULL, NULL, 0);
    run("code 256", me(L"code 256"), NULL, NULL, 0);
    run("code -1", me(L"code 0xffffffff"), NULL, NULL, 0);
    run("unhandled", me(L"unhandled"), NULL, NULL, 0);
    run("words", me(L"words a \"b c\" \"\" d\\\"e \"f\\\\\" \u00fc\u65e5 *"), NULL, NULL, 0);
    run("copy", me(L"copy"), "HAL", NULL, 0);
    run("no console", me(L"copy"), "IBM", NULL, DETACHED_PROCESS);
    run("no such program", L"no-such-program.exe", NULL, NULL, 0);
    run("cmd", L"cmd /c echo hello^& exit 5", NULL, NULL, 0);
    run("cmd sets", L"cmd /v:on /c \"set A=1&& set /a B=A+41 >nul&& echo !B!\"", NULL, NULL, 0);
    run("cmd if", L"cmd /c if exist C:\\windows\\system32 (echo there) else echo gone", NULL, NULL, 0);
    run("cmd for", L"cmd /c for %i in (1 2 3) do @echo [%i]", NULL, NULL, 0);
    run("cmd redirects", L"cmd /c \"echo kept> kept.txt&& type kept.txt\"", NULL, NULL, 0);
    run("cmd fails", L"cmd /c type absent.txt 2>nul", NULL, NULL, 0);
}

static void environment(void)
{
    static const wchar_t block[] = L"=C:=C:\\\0EMPTY=\0SystemRoot=C:\\windows\0WORD=given\0";

    SetEnvironmentVariableW(L"WINCOMPAT_INHERITED", L"from the parent \u00e9");
    run("inherited variable", me(L"environment WINCOMPAT_INHERITED"), NULL, NULL, 0);
    run("given variable", me(L"environment WORD"), NULL, block, CREATE_UNICODE_ENVIRONMENT);
    run("not given", me(L"environment WINCOMPAT_INHERITED"), NULL, block, CREATE_UNICODE_ENVIRONMENT);
    run("cmd expands", L"cmd /c echo %WINCOMPAT_INHERITED:~0,8%", NULL, NULL, 0);
}

static void handles(void)
{
    SECURITY_ATTRIBUTES inherit = { sizeof inherit, NULL, TRUE };
    HANDLE f = CreateFileW(L"by-handle.txt", GENERIC_READ | GENERIC_WRITE, 7, &inherit, CREATE_ALWAYS, 0, NULL), event, copy, closed;
    PROCESS_INFORMATION p;
    wchar_t words[200];
    DWORD n = 0, code = 0;
    char buf[20] = "";

    wsprintfW(words, L"handle 0x%x", (unsigned)(ULONG_PTR)f);
    run("inherited handle", me(words), NULL, NULL, 0);
    SetFilePointer(f, 0, NULL, FILE_BEGIN);
    ReadFile(f, buf, 19, &n, NULL);
    say("it wrote", "%s", buf);
    closed = CreateFileW(L"by-handle.txt", GENERIC_WRITE, 7, NULL, OPEN_EXISTING, 0, NULL);
    wsprintfW(words, L"handle 0x%x", (unsigned)(ULONG_PTR)closed);
    run("handle that is not inherited", me(words), NULL, NULL, 0);
    event = CreateEventW(NULL, FALSE, FALSE, own(L"signal"));
    wsprintfW(words, L"signal %s", own(L"signal"));
    run("signal by name", me(words), NULL, NULL, 0);
    say("signalled", "%lu", WaitForSingleObject(event, 0));
    start(me(L"sleep"), NULL, GetStdHandle(STD_OUTPUT_HANDLE), NULL, 0, &p);
    say("child lives", "%lu", WaitForSingleObject(p.hProcess, 0));
    tried("DuplicateHandle", DuplicateHandle(GetCurrentProcess(), event, p.hProcess, &copy, 0, FALSE, DUPLICATE_SAME_ACCESS));
    tried("OpenProcess", (copy = OpenProcess(PROCESS_QUERY_INFORMATION | SYNCHRONIZE, FALSE, p.dwProcessId)) != NULL);
    tried("TerminateProcess without the right", TerminateProcess(copy, 1));
    tried("TerminateProcess", TerminateProcess(p.hProcess, 0xDEAD0000));
    WaitForSingleObject(copy, INFINITE);
    GetExitCodeProcess(copy, &code);
    say("terminated", "0x%lx", code);
    start(me(L"code 7"), NULL, NULL, NULL, CREATE_SUSPENDED, &p);
    say("suspended", "%lu", WaitForSingleObject(p.hProcess, 50));
    ResumeThread(p.hThread);
    WaitForSingleObject(p.hProcess, INFINITE);
    GetExitCodeProcess(p.hProcess, &code);
    say("resumed", "%lu", code);
}

static void jobs(void)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limit = { 0 };
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION count;
    HANDLE job = CreateJobObjectW(NULL, NULL);
    PROCESS_INFORMATION p, q;
    BOOL in = FALSE;
    DWORD code = 0;

    start(me(L"sleep"), NULL, NULL, NULL, CREATE_SUSPENDED, &p);
    tried("AssignProcessToJobObject", AssignProcessToJobObject(job, p.hProcess));
    IsProcessInJob(p.hProcess, job, &in);
    say("in the job", "%d", in);
    limit.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    tried("kill on close", SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limit, sizeof limit));
    QueryInformationJobObject(job, JobObjectBasicAccountingInformation, &count, sizeof count, NULL);
    say("active", "%lu", count.ActiveProcesses);
    ResumeThread(p.hThread);
    tried("TerminateJobObject", TerminateJobObject(job, 123));
    WaitForSingleObject(p.hProcess, INFINITE);
    GetExitCodeProcess(p.hProcess, &code);
    say("ended with its job", "%lu", code);
    start(me(L"sleep"), NULL, NULL, NULL, 0, &q);
    AssignProcessToJobObject(job, q.hProcess);
    CloseHandle(job);
    WaitForSingleObject(q.hProcess, INFINITE);
    say("ended with its job's handle", "%d", 1);
}

int wmain(int argc, wchar_t **argv)
{
    if (argc > 2 && !wcscmp(argv[1], L"child")) return child(argc, argv);
    GetModuleFileNameW(NULL, self, MAX_PATH);
    codes();
    environment();
    handles();
    jobs();
    return 0;
}
