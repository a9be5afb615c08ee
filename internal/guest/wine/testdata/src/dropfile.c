/* dropfile [INPUT]: writes result.txt and log/run.log into its working folder,
 * names that are always the same, as many old programs do, and prints the
 * working folder. result.txt holds INPUT's bytes, or "dropped". Boot: lean. */
#include <stdio.h>
#include <windows.h>

int main(int argc, char **argv)
{
    char dir[MAX_PATH];
    FILE *f, *in;
    int c;

    GetCurrentDirectoryA(sizeof dir, dir);
    puts(dir);
    f = fopen("result.txt", "wb");
    if (!f) return 3;
    if (argc > 1) {
        in = fopen(argv[1], "rb");
        if (!in) return 2;
        while ((c = getc(in)) != EOF) putc(c, f);
    } else {
        fputs("dropped\n", f);
    }
    if (fclose(f)) return 3;
    CreateDirectoryA("log", NULL);
    f = fopen("log\\run.log", "wb");
    if (!f) return 3;
    fputs("one run\n", f);
    return fclose(f) ? 3 : 0;
}
