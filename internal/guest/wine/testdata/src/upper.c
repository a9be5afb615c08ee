/* upper: standard input to standard output, a to z made upper case, every other
 * byte unchanged. Boot: lean. */
#include <windows.h>

int main(void)
{
    static char buf[65536];
    HANDLE in = GetStdHandle(STD_INPUT_HANDLE), out = GetStdHandle(STD_OUTPUT_HANDLE);
    DWORD n, w, i;

    while (ReadFile(in, buf, sizeof buf, &n, NULL) && n > 0) {
        for (i = 0; i < n; i++)
            if (buf[i] >= 'a' && buf[i] <= 'z') buf[i] -= 'a' - 'A';
        if (!WriteFile(out, buf, n, &w, NULL) || w != n) return 5;
    }
    return 0;
}
