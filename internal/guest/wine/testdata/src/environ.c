/* environ [NAME…]: prints the environment, or the variables that are named, as
 * NAME=VALUE lines in UTF-8. Ends with 1 when a named one is not set. Boot: lean. */
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>
#include <windows.h>

static void print(const wchar_t *w)
{
    int n = WideCharToMultiByte(CP_UTF8, 0, w, -1, NULL, 0, NULL, NULL);
    char *s = malloc(n);
    WideCharToMultiByte(CP_UTF8, 0, w, -1, s, n, NULL, NULL);
    fputs(s, stdout);
    free(s);
}

int wmain(int argc, wchar_t **argv)
{
    int i, rc = 0;
    wchar_t *p;

    _setmode(_fileno(stdout), _O_BINARY);
    if (argc == 1) {
        for (p = GetEnvironmentStringsW(); *p; p += wcslen(p) + 1) {
            print(p);
            putchar('\n');
        }
        return 0;
    }
    for (i = 1; i < argc; i++) {
        static wchar_t value[32768];
        SetLastError(0);
        if (GetEnvironmentVariableW(argv[i], value, 32768) == 0 && GetLastError() != 0) {
            rc = 1;
            continue;
        }
        print(argv[i]);
        putchar('=');
        print(value);
        putchar('\n');
    }
    return rc;
}
