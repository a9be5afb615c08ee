/* copy IN OUT: copies a file byte for byte; names are any that Windows can
 * express. Ends with 0; 2: wrong arguments; 3: IN cannot be opened; 4: OUT
 * cannot be made; 5: reading or writing failed. Boot: lean. */
#include <stdio.h>
#include <wchar.h>
#include <windows.h>

int wmain(int argc, wchar_t **argv)
{
    static char buf[65536];
    HANDLE in, out;
    DWORD n, w;

    if (argc != 3) return 2;
    in = CreateFileW(argv[1], GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    if (in == INVALID_HANDLE_VALUE) {
        fprintf(stderr, "copy: cannot open the input (error %lu)\n", GetLastError());
        return 3;
    }
    out = CreateFileW(argv[2], GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    if (out == INVALID_HANDLE_VALUE) {
        fprintf(stderr, "copy: cannot make the output (error %lu)\n", GetLastError());
        return 4;
    }
    for (;;) {
        if (!ReadFile(in, buf, sizeof buf, &n, NULL)) return 5;
        if (n == 0) break;
        if (!WriteFile(out, buf, n, &w, NULL) || w != n) return 5;
    }
    return CloseHandle(out) ? 0 : 5;
}
