/* runchild COMMANDLINE: starts a command line, waits for it, prints its whole
 * 32-bit exit code, and ends with 0 whatever that was; with 9 when it cannot be
 * started, the error printed. Shows what a child's end looks like from within.
 * Boot: full (it starts another program). */
#include <stdio.h>
#include <windows.h>

int main(int argc, char **argv)
{
    STARTUPINFOA si = { .cb = sizeof si };
    PROCESS_INFORMATION pi;
    DWORD code;

    if (argc != 2) return 2;
    if (!CreateProcessA(NULL, argv[1], NULL, NULL, TRUE, 0, NULL, NULL, &si, &pi)) {
        printf("cannot start: error %lu\n", GetLastError());
        return 9;
    }
    WaitForSingleObject(pi.hProcess, INFINITE);
    GetExitCodeProcess(pi.hProcess, &code);
    printf("child ended with 0x%08lX\n", code);
    return 0;
}
