/* memory: virtual memory, protection and guard pages, heaps, mapped files. */
#include "found.h"

static volatile LONG faults;
static volatile ULONG_PTR fault_kind;
static void *volatile page;

static LONG CALLBACK on_fault(EXCEPTION_POINTERS *x)
{
    DWORD old;

    if (x->ExceptionRecord->ExceptionCode == STATUS_GUARD_PAGE_VIOLATION) {
        faults += 100;
        return EXCEPTION_CONTINUE_EXECUTION;
    }
    if (x->ExceptionRecord->ExceptionCode != EXCEPTION_ACCESS_VIOLATION) return EXCEPTION_CONTINUE_SEARCH;
    faults++;
    fault_kind = x->ExceptionRecord->ExceptionInformation[0];
    VirtualProtect(page, 4096, PAGE_READWRITE, &old);
    return EXCEPTION_CONTINUE_EXECUTION;
}

static void query(const char *name, void *at)
{
    MEMORY_BASIC_INFORMATION m;

    if (!VirtualQuery(at, &m, sizeof m)) {
        say(name, "error %lu", GetLastError());
        return;
    }
    say(name, "state %lx protect %lx type %lx size %lx", m.State, m.Protect, m.Type, (unsigned long)m.RegionSize);
}

static void virtual(void)
{
    DWORD old = 0;
    char *p = VirtualAlloc(NULL, 1 << 20, MEM_RESERVE, PAGE_READWRITE), *q;
    void *fixed;
    int ok;

    say("reserved on 64 KB", "%d", p && ((ULONG_PTR)p & 0xffff) == 0);
    query("reserved", p);
    q = VirtualAlloc(p + 0x10000, 0x3000, MEM_COMMIT, PAGE_READWRITE);
    say("committed inside", "%d", q == p + 0x10000);
    query("committed", q);
    say("zeroed", "%d", q[0] == 0 && q[0x2fff] == 0);
    memset(q, 7, 0x3000);
    ok = VirtualProtect(q + 0x1000, 0x1000, PAGE_READONLY, &old);
    say("protected", "%d was %lx", ok, old);
    query("first page", q);
    query("second page", q + 0x1000);
    page = q + 0x1000;
    ((volatile char *)q)[0x1000] = 8;
    say("write fault", "%ld kind %d value %d", faults, (int)fault_kind, q[0x1000]);
    VirtualProtect(page, 4096, PAGE_NOACCESS, &old);
    say("read fault", "%d", *(volatile char *)(q + 0x1000));
    say("faults", "%ld kind %d", faults, (int)fault_kind);
    VirtualProtect(q, 4096, PAGE_READWRITE | PAGE_GUARD, &old);
    *(volatile char *)q = 1;
    *(volatile char *)q = 2;
    say("guard page", "%ld", faults);
    say("VirtualLock", "%d", VirtualLock(q, 4096) && VirtualUnlock(q, 4096));
    say("decommit", "%d", VirtualFree(q, 0x3000, MEM_DECOMMIT));
    query("decommitted", q);
    tried("release with a size", VirtualFree(p, 4096, MEM_RELEASE));
    say("release", "%d", VirtualFree(p, 0, MEM_RELEASE));
    fixed = VirtualAlloc((void *)0x230000000, 0x10000, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    say("at an address", "%d", fixed == (void *)0x230000000);
    tried("at the same address", (fixed = VirtualAlloc((void *)0x230000000, 0x10000, MEM_RESERVE, PAGE_READWRITE)) != NULL);
    fixed = VirtualAlloc(NULL, 0x10000, MEM_RESERVE | MEM_COMMIT | MEM_TOP_DOWN, PAGE_EXECUTE_READWRITE);
    memcpy(fixed, "\xb8\x2a\x00\x00\x00\xc3", 6);
    FlushInstructionCache(GetCurrentProcess(), fixed, 6);
    say("code that was written", "%d", ((int (*)(void))fixed)());
    p = VirtualAlloc(NULL, (SIZE_T)8 << 30, MEM_RESERVE, PAGE_NOACCESS);
    say("8 GB reserved", "%d", p != NULL && VirtualFree(p, 0, MEM_RELEASE));
}

static void heaps(void)
{
    HANDLE h = HeapCreate(0, 0, 0), small = HeapCreate(0, 0x10000, 0x20000);
    char *p[200], *q;
    int i, ok = 1;
    SIZE_T size;

    for (i = 0; i < 200; i++) {
        p[i] = HeapAlloc(h, HEAP_ZERO_MEMORY, (SIZE_T)(i * i));
        if (!p[i] || (i && p[i][i * i - 1])) ok = 0;
        memset(p[i], i, (SIZE_T)(i * i));
    }
    say("HeapAlloc", "%d", ok);
    for (i = 0; i < 200; i += 2) HeapFree(h, 0, p[i]);
    for (i = 1; i < 200; i += 2) {
        p[i] = HeapReAlloc(h, 0, p[i], (SIZE_T)(i * i + 5000));
        if (!p[i] || p[i][i * i - 1] != (char)i) ok = 0;
    }
    say("HeapReAlloc", "%d", ok);
    size = HeapSize(h, 0, p[9]);
    say("HeapSize", "%d", (int)size);
    say("HeapValidate", "%d", HeapValidate(h, 0, NULL));
    say("HeapDestroy", "%d", HeapDestroy(h));
    q = HeapAlloc(small, 0, 0x40000);
    say("more than a fixed heap has", "%d", q != NULL);
    q = HeapAlloc(GetProcessHeap(), 0, (SIZE_T)64 << 20);
    say("64 MB", "%d", q != NULL);
    HeapFree(GetProcessHeap(), 0, q);
    q = GlobalAlloc(GMEM_MOVEABLE | GMEM_ZEROINIT, 100);
    say("GlobalSize", "%d", (int)GlobalSize(q));
    say("GlobalLock", "%d", GlobalLock(q) != NULL);
    GlobalUnlock(q);
    say("GlobalFlags", "%x", GlobalFlags(q));
    GlobalFree(q);
    q = LocalAlloc(LPTR, 50);
    say("LocalSize", "%d", (int)LocalSize(q));
    LocalFree(q);
}

static void mapped(void)
{
    HANDLE f = CreateFileW(L"mapped.tmp", GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, CREATE_ALWAYS, FILE_FLAG_DELETE_ON_CLOSE, NULL), m, n, pf;
    char *a, *b, *c, read[8] = "";
    MEMORY_BASIC_INFORMATION info;
    DWORD got;
    int ok;

    m = CreateFileMappingW(f, NULL, PAGE_READWRITE, 0, 0x21000, NULL);
    say("file grows to its mapping", "%lx", GetFileSize(f, NULL));
    a = MapViewOfFile(m, FILE_MAP_WRITE, 0, 0, 0);
    b = MapViewOfFile(m, FILE_MAP_READ, 0, 0x10000, 0x1000);
    query("view", a);
    strcpy(a + 0x10000, "shared");
    say("two views", "%s", b);
    say("FlushViewOfFile", "%d", FlushViewOfFile(a, 0));
    SetFilePointer(f, 0x10000, NULL, FILE_BEGIN);
    ok = ReadFile(f, read, 6, &got, NULL);
    say("the file has it", "%d %s", ok, read);
    c = MapViewOfFile(m, FILE_MAP_COPY, 0, 0x10000, 0x1000);
    strcpy(c, "mine");
    say("copy on write", "%s %s", c, b);
    tried("offset not on 64 KB", (n = MapViewOfFile(m, FILE_MAP_READ, 0, 0x1234, 0x100)) != NULL);
    SetLastError(0);
    UnmapViewOfFile(a); UnmapViewOfFile(b); UnmapViewOfFile(c);
    say("unmapped", "%d", VirtualQuery(a, &info, sizeof info) && info.State == MEM_FREE);
    CloseHandle(m);
    CloseHandle(f);
    tried("section without a file", (pf = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 0x5000, own(L"section"))) != NULL);
    n = OpenFileMappingW(FILE_MAP_READ, FALSE, own(L"section"));
    a = MapViewOfFile(pf, FILE_MAP_WRITE, 0, 0, 0);
    b = MapViewOfFile(n, FILE_MAP_READ, 0, 0, 0);
    strcpy(a, "by name");
    say("opened by name", "%s", b ? b : "not");
    query("its view", b);
}

int main(void)
{
    SYSTEM_INFO s;
    MEMORYSTATUSEX m = { .dwLength = sizeof m };

    AddVectoredExceptionHandler(1, on_fault);
    GetSystemInfo(&s);
    say("page", "%lu granularity %lu from %p", s.dwPageSize, s.dwAllocationGranularity, s.lpMinimumApplicationAddress);
    GlobalMemoryStatusEx(&m);
    say("memory", "%d", m.ullTotalPhys > 0 && m.ullAvailPhys <= m.ullTotalPhys && m.dwMemoryLoad <= 100);
    virtual();
    heaps();
    mapped();
    return 0;
}
