/* nonce FILE [TEXT [IN OUT]]: appends one line "PID TICKS TEXT" to FILE in a single
 * write with FILE_APPEND_DATA, so that lines of programs that run at the same time
 * never mix; counts executions from outside. With IN and OUT it then copies a file
 * as copy does. Boot: lean. */
#include <stdio.h>
#include <windows.h>

int main(int argc, char **argv)
{
    char line[1024];
    LARGE_INTEGER t;
    DWORD w;
    HANDLE h;
    int n;

    if (argc < 2) return 2;
    h = CreateFileA(argv[1], FILE_APPEND_DATA, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_ALWAYS, 0, NULL);
    if (h == INVALID_HANDLE_VALUE) return 3;
    QueryPerformanceCounter(&t);
    n = snprintf(line, sizeof line, "%lu %lld %s\n", GetCurrentProcessId(), t.QuadPart, argc > 2 ? argv[2] : "-");
    if (n <= 0 || n >= (int)sizeof line) return 2;
    if (!WriteFile(h, line, n, &w, NULL) || w != (DWORD)n) return 4;
    CloseHandle(h);
    if (argc > 4 && !CopyFileA(argv[3], argv[4], FALSE)) return 5;
    return 0;
}
