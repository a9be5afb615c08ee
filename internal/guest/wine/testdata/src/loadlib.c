/* loadlib [DLL]: loads a DLL (default: the one that nobody has) by name while it
 * runs, and goes on without it: prints the error number, ends with 0. Nothing in
 * its import table says so. Boot: lean. */
#include <stdio.h>
#include <windows.h>

int main(int argc, char **argv)
{
    HMODULE h = LoadLibraryA(argc > 1 ? argv[1] : "no-such-library.dll");

    if (h) puts("loaded");
    else printf("not loaded: error %lu\n", GetLastError());
    return 0;
}
