/* args [WORD…]: prints each argument, argv[0] left out, on a line of its own as
 * "N:LENGTH:TEXT" with TEXT in UTF-8 exactly as it arrived and LENGTH its bytes,
 * so that newlines within arguments are no trouble. Boot: lean. */
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>
#include <windows.h>

int wmain(int argc, wchar_t **argv)
{
    int i;

    _setmode(_fileno(stdout), _O_BINARY);
    for (i = 1; i < argc; i++) {
        int n = WideCharToMultiByte(CP_UTF8, 0, argv[i], -1, NULL, 0, NULL, NULL);
        char *s = malloc(n);
        WideCharToMultiByte(CP_UTF8, 0, argv[i], -1, s, n, NULL, NULL);
        printf("%d:%d:", i, n - 1);
        fwrite(s, 1, n - 1, stdout);
        putchar('\n');
        free(s);
    }
    return 0;
}
