/* memeater MIB [SECONDS]: takes and touches MIB mebibytes, a mebibyte at a time,
 * prints "holding MIB", and sleeps SECONDS (default 0). Ends with 12 when Windows
 * refuses. Boot: lean. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

int main(int argc, char **argv)
{
    int i, mib = argc > 1 ? atoi(argv[1]) : 16;

    for (i = 0; i < mib; i++) {
        char *p = VirtualAlloc(NULL, 1 << 20, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
        if (!p) {
            printf("refused after %d\n", i);
            return 12;
        }
        memset(p, i | 1, 1 << 20);
    }
    printf("holding %d\n", mib);
    fflush(stdout);
    Sleep(argc > 2 ? (DWORD)atoi(argv[2]) * 1000 : 0);
    return 0;
}
