/* registry write NAME TEXT | read NAME | delete NAME: a value below
 * HKCU\Software\Muster. read prints it, or ends with 1 when it is not there: shows
 * whether two programs share a registry. Boot: lean (advapi32's registry needs no
 * service). */
#include <stdio.h>
#include <string.h>
#include <windows.h>

int main(int argc, char **argv)
{
    HKEY k;
    char buf[4096];
    DWORD n = sizeof buf, type;

    if (argc < 3) return 2;
    if (RegCreateKeyExA(HKEY_CURRENT_USER, "Software\\Muster", 0, NULL, 0, KEY_ALL_ACCESS, NULL, &k, NULL)) return 3;
    if (!strcmp(argv[1], "write") && argc > 3)
        return RegSetValueExA(k, argv[2], 0, REG_SZ, (BYTE *)argv[3], strlen(argv[3]) + 1) ? 4 : 0;
    if (!strcmp(argv[1], "delete")) return RegDeleteValueA(k, argv[2]) ? 1 : 0;
    if (RegQueryValueExA(k, argv[2], NULL, &type, (BYTE *)buf, &n)) return 1;
    puts(buf);
    return 0;
}
