/* arguments WORD …: what arrives on the command line and in the environment, the standard streams
 * and the console's functions on them. Standard input holds two lines. */
#include <stdlib.h>
#include "found.h"

static void environment(void)
{
    wchar_t buf[1000], *block, *p;
    DWORD n;
    int found = 0;

    n = GetEnvironmentVariableW(L"WINCOMPAT_WORDS", buf, 1000);
    say("a variable of the host", "%lu %s", n, plain(buf));
    tried("no such variable", GetEnvironmentVariableW(L"WINCOMPAT_NONE", buf, 1000));
    say("case does not count", "%lu", GetEnvironmentVariableW(L"wincompat_WORDS", buf, 1000));
    say("too small", "%lu", GetEnvironmentVariableW(L"WINCOMPAT_WORDS", buf, 3));
    ExpandEnvironmentStringsW(L"%SystemRoot%;%ComSpec%;%OS%;%WINCOMPAT_NONE%;%ProgramFiles%;%SystemDrive%", buf, 1000);
    say("expanded", "%s", plain(buf));
    ExpandEnvironmentStringsW(L"%PATHEXT%;%PROCESSOR_ARCHITECTURE%;%ALLUSERSPROFILE%;%PUBLIC%;%CommonProgramFiles%", buf, 1000);
    say("more", "%s", plain(buf));
    n = GetEnvironmentVariableW(L"PATH", buf, 1000);
    buf[n < 1000 ? n : 0] = 0;
    say("PATH begins with system32", "%d", !_wcsnicmp(buf, L"C:\\windows\\system32;C:\\windows", 30));
    say("TEMP is TMP", "%d", (GetEnvironmentVariableW(L"TEMP", buf, 400), GetEnvironmentVariableW(L"TMP", buf + 500, 400), !wcscmp(buf, buf + 500)));
    say("TEMP is there", "%d", GetFileAttributesW(buf) != INVALID_FILE_ATTRIBUTES);
    say("USERNAME", "%d", GetEnvironmentVariableW(L"USERNAME", buf, 400) > 0);
    say("HOMEDRIVE", "%d", GetEnvironmentVariableW(L"HOMEDRIVE", buf, 400) > 0);
    say("NUMBER_OF_PROCESSORS", "%d", GetEnvironmentVariableW(L"NUMBER_OF_PROCESSORS", buf, 400) > 0);
    SetEnvironmentVariableW(L"WINCOMPAT_NEW", L"a=b \u65e5");
    block = GetEnvironmentStringsW();
    for (p = block; *p; p += wcslen(p) + 1)
        if (!wcsncmp(p, L"WINCOMPAT_", 10)) found++;
    say("in the block", "%d", found);
    FreeEnvironmentStringsW(block);
}

static void streams(void)
{
    HANDLE in = GetStdHandle(STD_INPUT_HANDLE), out = GetStdHandle(STD_OUTPUT_HANDLE), err = GetStdHandle(STD_ERROR_HANDLE);
    CONSOLE_SCREEN_BUFFER_INFO info;
    char line[100];
    DWORD mode, n;

    say("types", "%lu %lu %lu", GetFileType(in), GetFileType(out), GetFileType(err));
    tried("GetConsoleMode of input", GetConsoleMode(in, &mode));
    tried("GetConsoleMode of output", GetConsoleMode(out, &mode));
    say("GetConsoleScreenBufferInfo", "%d", GetConsoleScreenBufferInfo(out, &info));
    say("WriteConsole", "%d", WriteConsoleW(out, L"x", 1, &n, NULL));
    if (fgets(line, 100, stdin)) say("first line", "%s", hex(line, strlen(line)));
    if (fgets(line, 100, stdin)) say("second line", "%s", hex(line, strlen(line)));
    say("end", "%d %d", fgets(line, 100, stdin) == NULL, !!feof(stdin));
    fprintf(stderr, "to standard error\n");
    say("SetConsoleCtrlHandler", "%d", SetConsoleCtrlHandler(NULL, TRUE));
    WriteFile(out, "written = at once\r\n", 19, &n, NULL);
}

int wmain(int argc, wchar_t **argv)
{
    wchar_t line[4000], me[MAX_PATH], here[MAX_PATH];
    STARTUPINFOW si;
    int i;

    say("words", "%d", argc - 1);
    for (i = 1; i < argc; i++) {
        char name[20];
        sprintf(name, "word %d", i);
        say(name, "%s", plain(argv[i]));
    }
    wcscpy(line, GetCommandLineW());
    say("command line ends with", "%s", plain(wcsstr(line, L" plain")));
    GetModuleFileNameW(NULL, me, MAX_PATH);
    say("program", "%s", plain(wcsrchr(me, '\\')));
    say("first word is the program", "%d", wcslen(argv[0]) > 0);
    GetCurrentDirectoryW(MAX_PATH, here);
    say("files here", "%lx", GetFileAttributesW(here));
    GetStartupInfoW(&si);
    say("startup", "%lu %lx", si.cb == sizeof si, si.dwFlags & STARTF_USESHOWWINDOW);
    environment();
    streams();
    return 300;
}
