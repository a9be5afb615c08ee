/* tempfile [keep]: makes a file where GetTempPath says, prints its path, and
 * removes it unless told to keep it: what is kept is for others to clean. Boot: lean. */
#include <stdio.h>
#include <string.h>
#include <windows.h>

int main(int argc, char **argv)
{
    char dir[MAX_PATH], name[MAX_PATH];
    FILE *f;

    if (!GetTempPathA(sizeof dir, dir)) return 3;
    if (!GetTempFileNameA(dir, "mus", 0, name)) {
        fprintf(stderr, "tempfile: no file in %s (error %lu)\n", dir, GetLastError());
        return 4;
    }
    f = fopen(name, "wb");
    if (!f) return 5;
    fputs("temporary\n", f);
    if (fclose(f)) return 5;
    puts(name);
    if (argc > 1 && !strcmp(argv[1], "keep")) return 0;
    return DeleteFileA(name) ? 0 : 6;
}
