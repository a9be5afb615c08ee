/* page: the page that the system shares with all programs, whose content is the machine's, and what programs are told
 * of it: printed to be compared between two instances on one machine. */
#define _WIN32_WINNT 0x0A00
#include "found.h"
#include <winternl.h>

#ifndef CONTEXT_XSTATE
#define CONTEXT_XSTATE (CONTEXT_AMD64 | 0x40)
#endif

/* Counters of time; no other part of the page changes. */
static int ticks(unsigned at)
{
    return at < 0x4 || (at >= 0x8 && at < 0x20) || (at >= 0x320 && at < 0x330);
}

/* rows prints what is not zero, 16 bytes to a line. */
static void rows(const volatile unsigned char *page)
{
    unsigned char row[16];
    char name[8];
    unsigned at, i, any;

    for (at = 0; at < 0x1000; at += sizeof row) {
        for (i = any = 0; i < sizeof row; i++) any |= row[i] = ticks(at + i) ? 0 : page[at + i];
        sprintf(name, "%03x", at);
        if (any) say(name, "%s", hex(row, sizeof row));
    }
}

/* wide says how a context with AVX's registers is laid out. */
static void wide(void)
{
    static unsigned char room[8192];
    CONTEXT *c = NULL;
    DWORD n = 0, sse = 0, avx = 0, m;
    unsigned char *a, *b;
    DWORD64 mask = 0;

    for (m = CONTEXT_ALL; ; m |= CONTEXT_XSTATE) {
        n = 0;
        InitializeContext(NULL, m, NULL, &n);
        say("InitializeContext", "%lx %lu", m, n);
        if ((m & CONTEXT_XSTATE) == CONTEXT_XSTATE) break;
    }
    if (n > sizeof room || !InitializeContext(room, m, &c, &n)) return;
    a = LocateXStateFeature(c, XSTATE_LEGACY_SSE, &sse);
    b = LocateXStateFeature(c, XSTATE_AVX, &avx);
    say("LocateXStateFeature", "%d %lu, %d %lu", a ? (int)(a - (unsigned char *)c) : -1, sse, b ? (int)(b - (unsigned char *)c) : -1, avx);
    say("SetXStateFeaturesMask", "%d", SetXStateFeaturesMask(c, 4));
    tried("GetXStateFeaturesMask", GetXStateFeaturesMask(c, &mask));
    say("mask", "%I64x", mask);
}

/* What the environment says of the machine. */
static const wchar_t *variables[] = {
    L"COMPUTERNAME", L"NUMBER_OF_PROCESSORS", L"PROCESSOR_ARCHITECTURE", L"PROCESSOR_IDENTIFIER", L"PROCESSOR_LEVEL", L"PROCESSOR_REVISION", L"OS",
};

int main(void)
{
    OSVERSIONINFOEXW v = { .dwOSVersionInfoSize = sizeof v }, r = { .dwOSVersionInfoSize = sizeof r };
    NTSTATUS (WINAPI *rtl)(OSVERSIONINFOEXW *) = (void *)GetProcAddress(GetModuleHandleW(L"ntdll"), "RtlGetVersion");
    unsigned long long present = 0;
    wchar_t text[300];
    DWORD i, n;

    rows((const volatile unsigned char *)0x7ffe0000);
    for (i = 0; i < 64; i++) present |= (unsigned long long)!!IsProcessorFeaturePresent(i) << i;
    say("IsProcessorFeaturePresent", "%016I64x", present);
    say("GetEnabledXStateFeatures", "%I64x", GetEnabledXStateFeatures());
    say("GetLargePageMinimum", "%lx", (unsigned long)GetLargePageMinimum());
    wide();
    rtl(&r);
    say("RtlGetVersion", "%lu.%lu.%lu %x %d", r.dwMajorVersion, r.dwMinorVersion, r.dwBuildNumber, r.wSuiteMask, r.wProductType);
    GetVersionExW((OSVERSIONINFOW *)&v);
    say("GetVersionEx", "%lu.%lu.%lu %x %d", v.dwMajorVersion, v.dwMinorVersion, v.dwBuildNumber, v.wSuiteMask, v.wProductType);
    GetSystemWindowsDirectoryW(text, 300);
    say("GetSystemWindowsDirectory", "%s", plain(text));
    for (i = 0; i < ComputerNameMax; i++) {
        n = 300;
        say("GetComputerNameEx", "%lu %s", i, GetComputerNameExW(i, text, &n) ? plain(text) : "(none)");
    }
    n = 300;
    say("GetComputerName", "%s", GetComputerNameW(text, &n) ? plain(text) : "(none)");
    for (i = 0; i < sizeof variables / sizeof *variables; i++)
        say(plain(variables[i]), "%s", GetEnvironmentVariableW(variables[i], text, 300) ? plain(text) : "(none)");
    return 0;
}
