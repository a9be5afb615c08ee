/* sleeper SECONDS [MARKER [CODE]]: writes the file MARKER to say that it has
 * started, sleeps (for ever when SECONDS is negative), and ends with CODE.
 * Boot: lean. */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 1;

    if (argc > 2 && *argv[2]) {
        FILE *f = fopen(argv[2], "wb");
        if (!f) return 3;
        fputs("started\n", f);
        if (fclose(f)) return 3;
    }
    puts("started");
    fflush(stdout);
    Sleep(seconds < 0 ? INFINITE : (DWORD)seconds * 1000);
    return argc > 3 ? atoi(argv[3]) : 0;
}
