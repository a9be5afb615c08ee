package wine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/guest"
	"muster/internal/guest/wine"
	"muster/internal/image"
	"muster/internal/proc/proctest"
)

// told is a program that tells what a trimmed Wine could do otherwise: what is on
// a fresh stack, of the first thread and of another; the time zone, and what stands of it in the registry; the processors; the locales; whether a
// child does the same.
const told = `
#define _WIN32_WINNT 0x0A00
#include <stdio.h>
#include <windows.h>
static __attribute__((noinline)) int dirty(void)
{
    volatile char *low = (char *)((ULONG_PTR)__builtin_frame_address(0) & ~0xfffULL);
    int n = 0;
    for (SIZE_T i = 0x8000; i < 0xe0000; i++) n += low[-(LONG_PTR)i] != 0;
    return n;
}
static void fill(void)
{
    volatile char big[0x80000];
    for (SIZE_T i = 0; i < sizeof big; i += 64) big[i] = 1;
}
static DWORD WINAPI thread(void *arg)
{
    *(int *)arg = dirty();
    fill();
    return 0;
}
static void value(const wchar_t *name)
{
    wchar_t text[128] = L"-";
    DWORD size = sizeof text;
    RegGetValueW(HKEY_LOCAL_MACHINE, L"System\\CurrentControlSet\\Control\\TimeZoneInformation", name, RRF_RT_REG_SZ, NULL, text, &size);
    printf("registry %ls\n", text);
}
static DWORD WINAPI look(void *arg)
{
    DWORD size = 65536, sum = 0;
    unsigned char *all = calloc(1, size);
    BOOL ok = arg ? GetLogicalProcessorInformation((void *)all, &size) : GetLogicalProcessorInformationEx(RelationAll, (void *)all, &size);
    for (DWORD i = 0; i < size; i++) sum = sum * 31 + all[i];
    free(all);
    return ok ? sum * 2 + 1 : 0;
}
static void processors(int argc)
{
    HANDLE t[8];
    DWORD sum, size = 0;
    SYSTEM_INFO si;
    static unsigned char sets[65536];
    ULONG n = 0;
    BOOL (WINAPI *cpusets)(void *, ULONG, ULONG *, HANDLE, ULONG) = (void *)GetProcAddress(GetModuleHandleW(L"kernelbase.dll"), "GetSystemCpuSetInformation");
    if (argc > 1 && cpusets) /* a child asks for this first */
        cpusets(sets, sizeof sets, &n, GetCurrentProcess(), 0);
    for (int i = 0; i < 8; i++) t[i] = CreateThread(NULL, 0, look, (void *)(INT_PTR)(i & 1), 0, NULL);
    for (int i = 0; i < 8; i++) {
        WaitForSingleObject(t[i], INFINITE);
        GetExitCodeThread(t[i], &sum);
        printf("processors %lx\n", sum);
        CloseHandle(t[i]);
    }
    if (argc == 1 && cpusets) cpusets(sets, sizeof sets, &n, GetCurrentProcess(), 0);
    sum = 0;
    for (ULONG i = 0; i < n; i++) sum = sum * 31 + sets[i];
    GetSystemInfo(&si);
    GetLogicalProcessorInformation(NULL, &size);
    printf("sets %lu %lx, %lu processors, %lu bytes, error %lu\n", n, sum, si.dwNumberOfProcessors, size, GetLastError());
}
int wmain(int argc, wchar_t **argv)
{
    DYNAMIC_TIME_ZONE_INFORMATION z;
    wchar_t name[LOCALE_NAME_MAX_LENGTH];
    printf("first stack %d\n", dirty());
    for (int i = 0; i < 3; i++) { /* stacks are used again */
        int n = -1;
        HANDLE t = CreateThread(NULL, 0, thread, &n, 0, NULL);
        WaitForSingleObject(t, INFINITE);
        CloseHandle(t);
        printf("stack %d\n", n);
    }
    DWORD season = GetDynamicTimeZoneInformation(&z);
    printf("zone %lu %ld %ls/%ls/%ls %d %d\n", season, z.Bias, z.StandardName, z.DaylightName, z.TimeZoneKeyName, z.DaylightDate.wMonth, z.StandardDate.wMonth);
    /* Otherwise it names this program's zone, in its language; trimmed, always the node's. */
    if (!GetEnvironmentVariableW(L"TZ", NULL, 0) && !GetEnvironmentVariableW(L"LC_ALL", NULL, 0)) {
        value(L"StandardName");
        value(L"TimeZoneKeyName");
    }
    processors(argc);
    GetUserDefaultLocaleName(name, LOCALE_NAME_MAX_LENGTH);
    printf("locale %lx %lx %ls %u %u\n", GetSystemDefaultLCID(), GetUserDefaultLCID(), name, GetACP(), GetOEMCP());
    GetLocaleInfoW(LOCALE_USER_DEFAULT, LOCALE_SNATIVELANGNAME, name, LOCALE_NAME_MAX_LENGTH);
    for (int i = 0; name[i]; i++) printf("%04x ", name[i]);
    printf("\n");
    fflush(stdout);
    if (argc == 1) {
        STARTUPINFOW si = {sizeof si};
        PROCESS_INFORMATION pi;
        wchar_t self[MAX_PATH], line[MAX_PATH + 16];
        DWORD code = 99;
        GetModuleFileNameW(NULL, self, MAX_PATH);
        swprintf(line, MAX_PATH + 16, L"\"%ls\" child", self);
        if (!CreateProcessW(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &si, &pi)) return 9;
        WaitForSingleObject(pi.hProcess, INFINITE);
        GetExitCodeProcess(pi.hProcess, &code);
        printf("child %lu\n", code);
    }
    return 0;
}`

// A trimmed Wine does what the machine's own does.
func TestTrimmedTellsTheSame(t *testing.T) {
	exe := compile(t, "told", told)
	environments := [][]string{
		nil, {"TZ=UTC"}, {"TZ=Europe/Berlin"}, {"TZ=America/New_York"}, {"TZ=Asia/Kathmandu"}, {"TZ=Asia/Tokyo"},
		{"LC_ALL=de_DE.UTF-8"}, {"LANG=ja_JP.UTF-8", "LC_ALL=ja_JP.UTF-8"}, {"LC_ALL=xx_YY.UTF-8"}, {"LANG=C.UTF-8"}, {"LC_ALL=ca_ES.UTF-8@valencia"},
	}
	tell := func(t *testing.T, b wine.Build, boot string) (out []string) {
		table := proctest.Table(t)
		built, err := wine.NewFront(table, testStore(t), os.Getenv).Build(context.Background(), b, func(s string) { t.Log(s) })
		if err != nil {
			t.Fatal(err)
		}
		meta, want := built.Manifest.Meta, "registry stack timezone topology locale"
		if b.Keep != nil {
			want = ""
		}
		if meta["trimmed"] != want || meta["other"] != "" || meta["kept"] != strings.Join(b.Keep, " ") {
			t.Errorf("%q", meta)
		}
		if _, err := os.Stat(filepath.Join(image.Tree(built.Dir), "root")); (err == nil) != (want != "") {
			t.Errorf("its root: %v", err)
		}
		w := openWorld(t, table, guest.Image{Dir: built.Dir, Key: built.Manifest.Key}, boot, filepath.Dir(exe), nil)
		for _, env := range environments {
			_, done := w.startWith(guest.Command{Program: exe, Env: env})
			r := done()
			if !r.OK() {
				t.Fatalf("%q: %+v %s", env, r.Exit, r.err)
			}
			if !strings.Contains(r.out, "stack 0\r\n") || !strings.Contains(r.out, "child 0") {
				t.Errorf("%q: %s", env, r.out)
			}
			if env == nil {
				t.Log(r.out)
			}
			out = append(out, r.out)
		}
		return out
	}
	told := map[string][]string{}
	for name, how := range map[string]struct {
		b    wine.Build
		boot string
	}{
		"trimmed": {wine.Build{Name: "trimmed"}, wine.BootLean},
		"plain":   {wine.Build{Name: "plain", Keep: []string{"all"}}, wine.BootLean},
		"full":    {wine.Build{Name: "trimmed"}, wine.BootFull},
	} {
		t.Run(name, func(t *testing.T) { told[name] = tell(t, how.b, how.boot) })
	}
	if t.Failed() || len(told) < 3 {
		return // or only some were asked for
	}
	for i, env := range environments {
		for _, name := range []string{"plain", "full"} {
			if got, want := told["trimmed"][i], told[name][i]; got != want {
				t.Errorf("%q: trimmed Wine tells\n%s\nand %s\n%s", env, got, name, want)
			}
		}
	}
}

func TestKeepRefused(t *testing.T) {
	front := wine.NewFront(proctest.Table(t), ownStore(t), os.Getenv)
	_, err := front.Build(context.Background(), wine.Build{Keep: []string{"stack", "nonsense"}}, nil)
	if !errors.Is(err, guest.ErrUnfit) || !strings.Contains(err.Error(), "--keep nonsense: choose from stack, timezone, topology, locale, registry, all") {
		t.Error(err)
	}
}
