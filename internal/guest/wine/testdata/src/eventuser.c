/* eventuser hold NAME SECONDS | wait NAME SECONDS: two programs of one instance meet
 * in a named event. hold makes and sets it, prints "held" and keeps it; wait ends
 * with 0 when it gets the event, with 1 when there is none: shows whether two
 * programs share a Wine server. Boot: lean. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

int main(int argc, char **argv)
{
    DWORD ms;
    HANDLE h;

    if (argc != 4) return 2;
    ms = (DWORD)atoi(argv[3]) * 1000;
    if (!strcmp(argv[1], "hold")) {
        h = CreateEventA(NULL, TRUE, TRUE, argv[2]);
        if (!h) return 3;
        puts("held");
        fflush(stdout);
        Sleep(ms);
        return 0;
    }
    h = OpenEventA(SYNCHRONIZE, FALSE, argv[2]);
    if (!h) {
        puts("none");
        return 1;
    }
    if (WaitForSingleObject(h, ms) != WAIT_OBJECT_0) return 4;
    puts("got it");
    return 0;
}
