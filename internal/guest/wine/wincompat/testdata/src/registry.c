/* registry: makes, reads, lists and removes keys and values, and looks up what programs rely on. */
#define _WIN32_WINNT 0x0A00
#include <stdlib.h>
#include "found.h"
#include "lookup.h"

static void types(HKEY k)
{
    static const BYTE binary[] = { 0, 1, 2, 255 };
    static const ULONGLONG quad = 0x1122334455667788ull;
    static const DWORD number = 0xfedcba98;
    BYTE buf[600];
    DWORD n, type, i;
    wchar_t name[100], text[300];
    LSTATUS r;

    say("REG_SZ", "%ld", RegSetValueExW(k, L"text", 0, REG_SZ, (const BYTE *)L"caf\u00e9 \u65e5", 14));
    say("REG_EXPAND_SZ", "%ld", RegSetValueExW(k, L"expand", 0, REG_EXPAND_SZ, (const BYTE *)L"%SystemRoot%\\x", 30));
    say("REG_MULTI_SZ", "%ld", RegSetValueExW(k, L"multi", 0, REG_MULTI_SZ, (const BYTE *)L"one\0two\0", 18));
    say("REG_DWORD", "%ld", RegSetValueExW(k, L"number", 0, REG_DWORD, (const BYTE *)&number, 4));
    say("REG_QWORD", "%ld", RegSetValueExW(k, L"quad", 0, REG_QWORD, (const BYTE *)&quad, 8));
    say("REG_BINARY", "%ld", RegSetValueExW(k, L"binary", 0, REG_BINARY, binary, 4));
    say("default value", "%ld", RegSetValueExW(k, NULL, 0, REG_SZ, (const BYTE *)L"default", 16));
    for (i = 0;; i++) {
        char line[60];
        DWORD len = 100;
        n = sizeof buf;
        r = RegEnumValueW(k, i, name, &len, NULL, &type, buf, &n);
        if (r) break;
        sprintf(line, "value %s", plain(name));
        say(line, "type %lu %s", type, hex(buf, n));
    }
    say("values end", "%lu with %ld", i, r);
    n = 4;
    r = RegQueryValueExW(k, L"text", NULL, &type, buf, &n);
    say("too small", "%ld needs %lu", r, n);
    n = sizeof text;
    r = RegGetValueW(k, NULL, L"expand", RRF_RT_REG_SZ, NULL, text, &n);
    say("RegGetValue expands", "%ld %s", r, plain(text));
    n = sizeof text;
    say("RegGetValue of another type", "%ld", RegGetValueW(k, NULL, L"number", RRF_RT_REG_SZ, NULL, text, &n));
    say("case does not count", "%ld", RegQueryValueExW(k, L"NUMBER", NULL, NULL, NULL, NULL));
    say("RegDeleteValue", "%ld", RegDeleteValueW(k, L"quad"));
    say("RegDeleteValue again", "%ld", RegDeleteValueW(k, L"quad"));
}

static void keys(const char *where, HKEY root)
{
    wchar_t path[200], name[100];
    HKEY k, sub, again;
    DWORD how = 0, subkeys, values, longest, n;
    LSTATUS r;
    int i;

    say("in", "%s", where);
    wsprintfW(path, L"Software\\%s", own(L"key"));
    r = RegCreateKeyExW(root, path, 0, NULL, 0, KEY_ALL_ACCESS, NULL, &k, &how);
    say("RegCreateKeyEx", "%ld %lu", r, how);
    if (r) return;
    r = RegCreateKeyExW(root, path, 0, NULL, 0, KEY_ALL_ACCESS, NULL, &again, &how);
    say("again", "%ld %lu", r, how);
    types(k);
    for (i = 0; i < 5; i++) {
        wsprintfW(name, L"sub %d", i);
        RegCreateKeyExW(k, name, 0, NULL, i == 4 ? REG_OPTION_VOLATILE : 0, KEY_ALL_ACCESS, NULL, &sub, NULL);
        RegCloseKey(sub);
    }
    RegQueryInfoKeyW(k, NULL, NULL, NULL, &subkeys, &longest, NULL, &values, NULL, NULL, NULL, NULL);
    say("RegQueryInfoKey", "%lu keys, longest %lu, %lu values", subkeys, longest, values);
    for (i = 0, n = 100; !RegEnumKeyExW(k, i, name, &n, NULL, NULL, NULL, NULL); i++, n = 100) say("subkey", "%s", plain(name));
    say("open for reading", "%ld", RegOpenKeyExW(k, L"SUB 2", 0, KEY_READ, &sub));
    say("write without the right", "%ld", RegSetValueExW(sub, L"x", 0, REG_SZ, NULL, 0));
    RegCloseKey(sub);
    say("a link to nowhere", "%ld", RegOpenKeyExW(k, L"sub 9", 0, KEY_READ, &sub));
    say("RegDeleteKey with subkeys", "%ld", RegDeleteKeyW(root, path));
    say("RegDeleteTree", "%ld", RegDeleteTreeW(root, path));
    say("it is gone", "%ld", RegOpenKeyExW(root, path, 0, KEY_READ, &again));
    say("use of a deleted key", "%ld", RegSetValueExW(k, L"x", 0, REG_DWORD, (const BYTE *)&n, 4));
    RegCloseKey(k);
}

static void well_known(void)
{
    static const wchar_t nt[] = L"Software\\Microsoft\\Windows NT\\CurrentVersion", w[] = L"Software\\Microsoft\\Windows\\CurrentVersion";
    static const wchar_t *const versions[] = { L"ProductName", L"CurrentVersion", L"CurrentBuild", L"CurrentBuildNumber", L"CurrentMajorVersionNumber", L"CSDVersion", L"SystemRoot", L"ReleaseId", L"InstallationType", L"EditionID" };
    static const wchar_t *const parts[] = { L"Fonts", L"FontSubstitutes", L"Time Zones", L"Image File Execution Options", L"Perflib", L"Ports", L"Console", L"Drivers32" };
    wchar_t path[200];
    size_t i;

    for (i = 0; i < sizeof versions / sizeof *versions; i++) known(HKEY_LOCAL_MACHINE, nt, versions[i]);
    known(HKEY_LOCAL_MACHINE, w, L"ProgramFilesDir");
    known(HKEY_LOCAL_MACHINE, w, L"CommonFilesDir");
    known(HKEY_LOCAL_MACHINE, w, L"ProgramFilesDir (x86)");
    for (i = 2; i < sizeof parts / sizeof *parts; i++) {
        wsprintfW(path, L"%s\\%s", nt, parts[i]);
        many(HKEY_LOCAL_MACHINE, path, i == 7);
    }
    wsprintfW(path, L"%s\\FontSubstitutes", nt);
    known(HKEY_LOCAL_MACHINE, path, L"MS Shell Dlg");
    wsprintfW(path, L"%s\\Time Zones\\W. Europe Standard Time", nt);
    known(HKEY_LOCAL_MACHINE, path, L"Display");
    known(HKEY_LOCAL_MACHINE, path, L"Dlt");
    known(HKEY_LOCAL_MACHINE, path, L"TZI");
    known(HKEY_LOCAL_MACHINE, L"System\\CurrentControlSet\\Control\\Session Manager\\Environment", L"OS");
    known(HKEY_LOCAL_MACHINE, L"System\\CurrentControlSet\\Control\\Session Manager\\Environment", L"PATH");
    known(HKEY_LOCAL_MACHINE, L"System\\CurrentControlSet\\Control\\Session Manager\\Environment", L"PATHEXT");
    known(HKEY_LOCAL_MACHINE, L"System\\CurrentControlSet\\Control\\Nls\\CodePage", L"ACP");
    known(HKEY_LOCAL_MACHINE, L"System\\CurrentControlSet\\Control\\Nls\\CodePage", L"OEMCP");
    known(HKEY_LOCAL_MACHINE, L"System\\CurrentControlSet\\Control\\Nls\\Language", L"Default");
    known(HKEY_LOCAL_MACHINE, L"System\\CurrentControlSet\\Control\\ProductOptions", L"ProductType");
    known(HKEY_LOCAL_MACHINE, L"System\\CurrentControlSet\\Control\\FileSystem", L"LongPathsEnabled");
    many(HKEY_LOCAL_MACHINE, L"System\\CurrentControlSet\\Control\\Nls\\CodePage", TRUE);
    many(HKEY_LOCAL_MACHINE, L"System\\CurrentControlSet\\Control\\Nls\\Locale", TRUE);
    many(HKEY_LOCAL_MACHINE, L"Software\\Microsoft\\Cryptography\\Defaults\\Provider", FALSE);
    known(HKEY_LOCAL_MACHINE, L"Software\\Microsoft\\NET Framework Setup\\NDP\\v4\\Full", L"Release");
    known(HKEY_LOCAL_MACHINE, L"Software\\Microsoft\\Internet Explorer", L"Version");
    known(HKEY_CURRENT_USER, L"Control Panel\\International", L"sDecimal");
    known(HKEY_CURRENT_USER, L"Control Panel\\International", L"Locale");
    known(HKEY_CURRENT_USER, L"Control Panel\\Desktop", L"FontSmoothing");
}

static void notified(void)
{
    HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL);
    wchar_t path[200];
    HKEY k, sub;

    wsprintfW(path, L"Software\\%s", own(L"watched"));
    RegCreateKeyExW(HKEY_CURRENT_USER, path, 0, NULL, 0, KEY_ALL_ACCESS, NULL, &k, NULL);
    say("RegNotifyChangeKeyValue", "%ld", RegNotifyChangeKeyValue(k, TRUE, REG_NOTIFY_CHANGE_NAME, event, TRUE));
    say("nothing yet", "%lu", WaitForSingleObject(event, 0));
    RegCreateKeyExW(k, L"new", 0, NULL, 0, KEY_ALL_ACCESS, NULL, &sub, NULL);
    say("noticed", "%lu", WaitForSingleObject(event, 20000));
    RegDeleteTreeW(HKEY_CURRENT_USER, path);
}

int main(void)
{
    keys("HKCU", HKEY_CURRENT_USER);
    keys("HKLM", HKEY_LOCAL_MACHINE);
    well_known();
    notified();
    return 0;
}
