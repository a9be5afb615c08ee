/* libraries: DLLs that are loaded by name while the program runs, and left again. */
#include "found.h"

static void library(const wchar_t *name)
{
    char line[100];
    HMODULE m = LoadLibraryW(name);

    sprintf(line, "LoadLibrary %s", plain(name));
    if (m) say(line, "yes, freed %d", FreeLibrary(m));
    else say(line, "error %lu", GetLastError());
}

int main(void)
{
    static const wchar_t *const names[] = { L"user32.dll", L"ole32.dll", L"oleaut32.dll", L"shell32.dll", L"comctl32.dll", L"comdlg32", L"ws2_32.dll", L"winhttp.dll", L"wininet.dll", L"gdiplus.dll", L"d3d9", L"d3d11.dll", L"dxgi.dll", L"opengl32.dll", L"setupapi.dll", L"iphlpapi.dll", L"winmm.dll", L"msi.dll", L"msxml6.dll", L"winspool.drv", L"netapi32.dll", L"secur32.dll", L"bcryptprimitives.dll" };
    BOOL (WINAPI *copy)(LPCWSTR, LPCWSTR, BOOL);
    HMODULE m;
    size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++) library(names[i]);
    m = LoadLibraryW(L"ws2_32");
    say("by number", "%d", GetProcAddress(m, (LPCSTR)(ULONG_PTR)115) == GetProcAddress(m, "WSAStartup"));
    CopyFileW(L"C:\\windows\\system32\\xmllite.dll", L"beside.dll", FALSE);
    say("a copy in the working folder", "%d", LoadLibraryW(L".\\beside.dll") != NULL);
    copy = (void *)GetProcAddress(GetModuleHandleW(L"kernel32"), "CopyFileW");
    say("called by address", "%d", copy(L"beside.dll", L"beside.dll", TRUE));
    return 0;
}
