/* loader: modules, functions by name, resources, versions, and what the system says
 * of itself without any service. */
#define _WIN32_WINNT 0x0A00
#include "found.h"
#include <psapi.h>
#include <winver.h>
#include <winternl.h>

static void library(const wchar_t *name)
{
    char line[100];
    HMODULE m = LoadLibraryW(name);

    sprintf(line, "LoadLibrary %s", plain(name));
    if (m) say(line, "yes, freed %d", FreeLibrary(m));
    else say(line, "error %lu", GetLastError());
}

static void version(const wchar_t *name)
{
    static BYTE data[20000];
    VS_FIXEDFILEINFO *f;
    wchar_t *text;
    UINT n;
    DWORD ignored, size = GetFileVersionInfoSizeW(name, &ignored);

    if (!size || size > sizeof data || !GetFileVersionInfoW(name, 0, size, data) || !VerQueryValueW(data, L"\\", (void **)&f, &n)) {
        say(plain(name), "no version");
        return;
    }
    say(plain(name), "%08lx %08lx", f->dwFileVersionMS, f->dwFileVersionLS);
    if (VerQueryValueW(data, L"\\StringFileInfo\\040904B0\\ProductName", (void **)&text, &n) || VerQueryValueW(data, L"\\StringFileInfo\\040904E4\\ProductName", (void **)&text, &n)) say("product", "%s", plain(text));
}

static void computer(void)
{
    wchar_t a[300] = L"", b[300] = L"";
    DWORD n = 300, m = sizeof b;

    say("GetComputerName", "%d", GetComputerNameW(a, &n) && n > 0);
    RegGetValueW(HKEY_LOCAL_MACHINE, L"System\\CurrentControlSet\\Control\\ComputerName\\ActiveComputerName", L"ComputerName", RRF_RT_REG_SZ, NULL, b, &m);
    say("is in the registry", "%d", !_wcsicmp(a, b));
    say("COMPUTERNAME", "%d", GetEnvironmentVariableW(L"COMPUTERNAME", b, 300) > 0 && !_wcsicmp(a, b));
}

/* What wineboot writes into the page that all programs share. */
static void shared_page(void)
{
    say("IsProcessorFeaturePresent", "%d %d", IsProcessorFeaturePresent(PF_XMMI64_INSTRUCTIONS_AVAILABLE), IsProcessorFeaturePresent(PF_FASTFAIL_AVAILABLE));
    say("GetEnabledXStateFeatures", "%d", (int)(GetEnabledXStateFeatures() & 3));
    say("GetLargePageMinimum", "%lx", (unsigned long)GetLargePageMinimum());
    say("NtSystemRoot", "%s", plain((const wchar_t *)0x7ffe0030));
    say("NtProductType", "%lu", *(const volatile ULONG *)0x7ffe0264);
    say("NtMajorVersion", "%lu", *(const volatile ULONG *)0x7ffe026c);
}

int main(void)
{
    static const wchar_t *const names[] = { L"advapi32", L"msvcp140.dll", L"vcruntime140.dll", L"ucrtbase.dll", L"api-ms-win-crt-runtime-l1-1-0.dll", L"msvcr120.dll", L"dbghelp.dll", L"version.dll", L"xmllite.dll", L"no-such.dll", L"C:\\windows\\system32\\kernel32.dll", L"mfc42.dll" };
    OSVERSIONINFOEXW v = { .dwOSVersionInfoSize = sizeof v }, r = { .dwOSVersionInfoSize = sizeof r };
    NTSTATUS (WINAPI *rtl)(OSVERSIONINFOEXW *);
    SYSTEM_INFO s;
    HMODULE k = GetModuleHandleW(L"kernel32"), m, all[200];
    wchar_t path[MAX_PATH], text[300];
    LARGE_INTEGER a, b, f;
    FILETIME t;
    SYSTEMTIME st;
    BOOL wow = TRUE;
    DWORD n;
    size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++) library(names[i]);
    GetModuleFileNameW(k, path, MAX_PATH);
    say("kernel32 is", "%s", plain(path));
    say("GetProcAddress", "%d", GetProcAddress(k, "CreateFileW") != NULL);
    tried("no such function", GetProcAddress(k, "NoSuchFunction") != NULL);
    say("GetModuleHandleEx", "%d", GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, (LPCWSTR)main, &m) && m == GetModuleHandleW(NULL));
    say("EnumProcessModules", "%d", EnumProcessModules(GetCurrentProcess(), all, sizeof all, &n) && n >= 3 * sizeof(HMODULE) && all[0] == GetModuleHandleW(NULL));
    m = LoadLibraryExW(L"advapi32.dll", NULL, LOAD_LIBRARY_AS_DATAFILE);
    say("a resource", "%d", FindResourceW(m, MAKEINTRESOURCEW(1), (LPCWSTR)RT_VERSION) != NULL);
    version(L"kernel32.dll");
    version(L"advapi32.dll");
    version(L"msvcp140.dll");
    GetVersionExW((OSVERSIONINFOW *)&v);
    say("GetVersionEx", "%lu.%lu.%lu %s %d", v.dwMajorVersion, v.dwMinorVersion, v.dwBuildNumber, plain(v.szCSDVersion), v.wProductType);
    rtl = (void *)GetProcAddress(GetModuleHandleW(L"ntdll"), "RtlGetVersion");
    rtl(&r);
    say("RtlGetVersion", "%lu.%lu.%lu", r.dwMajorVersion, r.dwMinorVersion, r.dwBuildNumber);
    GetNativeSystemInfo(&s);
    say("architecture", "%d", s.wProcessorArchitecture);
    say("IsWow64Process", "%d", IsWow64Process(GetCurrentProcess(), &wow) && wow);
    GetSystemDirectoryW(path, MAX_PATH);
    say("GetSystemDirectory", "%s", plain(path));
    tried("GetSystemWow64Directory", GetSystemWow64DirectoryW(path, MAX_PATH));
    for (n = 0; n < 4; n++) {
        static const DWORD errors[] = { 2, 5, 1460, 0xC0000005 };
        DWORD len = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, errors[n], 0x409, text, 300, NULL);
        if (len >= 2 && text[len - 2] == '\r') text[len - 2] = 0;
        say("FormatMessage", "%lu %s", errors[n], len ? plain(text) : "none");
    }
    FormatMessageW(FORMAT_MESSAGE_FROM_STRING | FORMAT_MESSAGE_ARGUMENT_ARRAY, L"%2 and %1!5d!|%%", 0, 0, text, 300, (va_list *)(DWORD_PTR[]){ 42, (DWORD_PTR)L"two" });
    say("with inserts", "%s", plain(text));
    QueryPerformanceFrequency(&f);
    QueryPerformanceCounter(&a);
    Sleep(20);
    QueryPerformanceCounter(&b);
    say("performance counter", "%I64d %d", f.QuadPart, (b.QuadPart - a.QuadPart) * 1000 / f.QuadPart >= 18);
    say("tick count", "%d", GetTickCount64() > 0);
    st = (SYSTEMTIME){ 2000, 2, 2, 29, 12, 34, 56, 789 };
    SystemTimeToFileTime(&st, &t);
    say("SystemTimeToFileTime", "%08lx%08lx", t.dwHighDateTime, t.dwLowDateTime);
    FileTimeToSystemTime(&t, &st);
    say("day of the week", "%d", st.wDayOfWeek);
    FileTimeToDosDateTime(&t, (WORD *)&n, (WORD *)&n + 1);
    say("FileTimeToDosDateTime", "%08lx", n);
    st.wMonth = 13;
    tried("month 13", SystemTimeToFileTime(&st, &t));
    GetSystemTimeAsFileTime(&t);
    say("clock", "%d", t.dwHighDateTime > 0x01d90000);
    computer();
    shared_page();
    return 0;
}
