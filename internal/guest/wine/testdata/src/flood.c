/* flood BYTES [err]: writes BYTES bytes in lines of 64 to standard output, or to
 * standard error. Ends with 5 when a write fails. Boot: lean. */
#include <string.h>
#include <stdlib.h>
#include <windows.h>

int main(int argc, char **argv)
{
    long long left = argc > 1 ? atoll(argv[1]) : 1 << 20;
    HANDLE h = GetStdHandle(argc > 2 && !strcmp(argv[2], "err") ? STD_ERROR_HANDLE : STD_OUTPUT_HANDLE);
    static char buf[65536];
    DWORD w;
    int i;

    memset(buf, 'x', sizeof buf);
    for (i = 63; i < (int)sizeof buf; i += 64) buf[i] = '\n';
    while (left > 0) {
        DWORD n = left < (long long)sizeof buf ? (DWORD)left : sizeof buf;
        if (!WriteFile(h, buf, n, &w, NULL) || w != n) return 5;
        left -= n;
    }
    return 0;
}
