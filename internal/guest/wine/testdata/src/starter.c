/* starter SECONDS [MARKER]: starts itself once more as a detached process of a
 * process group of its own, which writes MARKER and sleeps SECONDS (for ever when
 * negative), prints that child's number, and ends without waiting for it.
 * Boot: full (it starts another program). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

static int child(int argc, char **argv)
{
    int seconds = atoi(argv[2]);

    if (argc > 3) {
        FILE *f = fopen(argv[3], "wb");
        if (!f) return 3;
        fputs("child started\n", f);
        if (fclose(f)) return 3;
    }
    Sleep(seconds < 0 ? INFINITE : (DWORD)seconds * 1000);
    return 0;
}

int main(int argc, char **argv)
{
    char self[MAX_PATH], line[3 * MAX_PATH];
    STARTUPINFOA si = { .cb = sizeof si };
    PROCESS_INFORMATION pi;

    if (argc > 2 && !strcmp(argv[1], "--child")) return child(argc, argv);
    GetModuleFileNameA(NULL, self, sizeof self);
    snprintf(line, sizeof line, "\"%s\" --child %s%s%s%s", self, argc > 1 ? argv[1] : "-1",
             argc > 2 ? " \"" : "", argc > 2 ? argv[2] : "", argc > 2 ? "\"" : "");
    if (!CreateProcessA(self, line, NULL, NULL, FALSE, DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP,
                        NULL, NULL, &si, &pi)) {
        fprintf(stderr, "starter: cannot start the child (error %lu)\n", GetLastError());
        return 3;
    }
    printf("child %lu\n", pi.dwProcessId);
    return 0;
}
