/* hello [CODE [WORD]]: prints one line and ends with CODE, a 32-bit number in
 * decimal or hexadecimal (default 0). Imports kernel32 and msvcrt only: the
 * shortest program that there is. Boot: lean. */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

int main(int argc, char **argv)
{
    printf("hello %s\n", argc > 2 ? argv[2] : "world");
    fflush(stdout);
    ExitProcess(argc > 1 ? (UINT)strtoul(argv[1], NULL, 0) : 0);
}
