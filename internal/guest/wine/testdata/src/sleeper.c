/* sleeper SECONDS|FILE [MARKER [CODE]]: writes the file MARKER to say that it has
 * started, sleeps (for ever when SECONDS is negative; until there is FILE, which has a
 * backslash in its name), and ends with CODE. Boot: lean. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    if (argc > 1 && strchr(argv[1], '\\')) {
        while (GetFileAttributesA(argv[1]) == INVALID_FILE_ATTRIBUTES) Sleep(50);
        seconds = 0;
    }
    Sleep(seconds < 0 ? INFINITE : (DWORD)seconds * 1000);
    return argc > 3 ? atoi(argv[3]) : 0;
}
