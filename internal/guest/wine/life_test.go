package wine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/internal/guest"
	"muster/internal/guest/wine"
	"muster/internal/guest/wine/winetest"
	"muster/internal/job"
	"muster/internal/proc"
)

// find returns the living processes with that name.
func (w *world) find(comm string) []proc.Info {
	w.t.Helper()
	all, err := w.table.Descendants()
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(p proc.Info) bool { return !strings.HasPrefix(comm, p.Comm) })
}

func TestServerKilled(t *testing.T) {
	progs := winetest.Build(t, "sleeper", "starter", "hello")
	for _, boot := range []string{wine.BootLean, wine.BootFull} {
		t.Run(boot, func(t *testing.T) {
			w := newWorld(t, boot, filepath.Dir(filepath.Dir(progs["sleeper"])), nil)
			marker := func(name string) (windows string, there func() bool) {
				return `O:\` + name, func() bool { _, err := os.Stat(w.folders.Out + "/" + name); return err == nil }
			}
			m1, there1 := marker("one")
			m2, there2 := marker("two")
			_, done := w.start(progs["sleeper"], "-1", m1)
			w.run(progs["starter"], "-1", m2)
			w.eventually("both run", func() bool { return there1() && there2() })
			for _, p := range w.find("wineserver64") {
				if err := proc.SignalProcess(p, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			if r := done(); r.Cause != job.CauseInstance {
				t.Errorf("its program ended with %+v", r.Exit)
			}
			if w.inst.Alive() {
				t.Error("it says it is alive")
			}
			if _, err := w.inst.Start(context.Background(), guest.Command{Program: progs["hello"], Dir: w.folders.Work}); !errors.Is(err, guest.ErrDead) {
				t.Errorf("Start: %v", err)
			}
			w.eventually("what slept has ended without Close", func() bool { return len(w.processes()) == 0 })
		})
	}
}

// The holder keeps the boot event: without it the next start would hang.
func TestHolderKilled(t *testing.T) {
	progs := winetest.Build(t, "hello")
	w := newWorld(t, wine.BootLean, filepath.Dir(progs["hello"]), nil)
	for _, p := range w.find("musterhold.exe") {
		if err := proc.SignalProcess(p, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	w.eventually("it is dead", func() bool { return !w.inst.Alive() })
	w.eventually("all has ended", func() bool { return len(w.processes()) == 0 })
}

func TestLeanStartsAgainAndAgain(t *testing.T) {
	progs := winetest.Build(t, "hello", "bootevent")
	w := newWorld(t, wine.BootLean, filepath.Dir(filepath.Dir(progs["hello"])), nil)
	began := time.Now()
	for range 20 {
		if r := w.run(progs["hello"]); !r.OK() || r.out != "hello world\r\n" {
			t.Fatalf("%+v %q %q", r.Exit, r.out, r.err)
		}
	}
	t.Logf("20 starts in %s", time.Since(began))
	if r := w.run(progs["bootevent"]); r.out != "set\r\n" {
		t.Errorf("the boot event is %q", r.out)
	}
	if got := w.processes(); len(got) != 2 {
		t.Errorf("a lean instance has %v", got)
	}
}

// Nothing of an instance has a randomized layout, which costs one start in
// 8,000 without Wine's preloader; children of children neither.
func TestLayoutIsFixed(t *testing.T) {
	if !proc.CanFixLayout() {
		t.Fatal("personality(2) is forbidden here")
	}
	progs := winetest.Build(t, "hello")
	w := newWorld(t, wine.BootFull, filepath.Dir(filepath.Dir(progs["hello"])), nil)
	if r := w.run(progs["hello"]); !r.OK() {
		t.Fatalf("%+v %q", r.Exit, r.err)
	}
	all, err := w.table.Descendants()
	if err != nil || len(all) < 4 {
		t.Fatalf("%d processes, %v", len(all), err)
	}
	for _, p := range all {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/personality", p.PID))
		if err == nil && strings.TrimSpace(string(b)) != "00040000" {
			t.Errorf("%s has the personality %s", p.Comm, b)
		}
	}
}

func TestFullBootHasServices(t *testing.T) {
	progs := winetest.Build(t, "scmuser", "comuser", "window")
	w := newWorld(t, wine.BootFull, filepath.Dir(filepath.Dir(progs["window"])), nil)
	for _, name := range []string{"scmuser", "comuser", "window"} {
		if r := w.run(progs[name]); !r.OK() {
			t.Errorf("%s: %+v %q %q", name, r.Exit, r.out, r.err)
		}
	}
	if len(w.find("services.exe")) != 1 {
		t.Errorf("no services: %v", w.processes())
	}
	// What is left belongs to the instance, whatever task started it first.
	all, err := w.table.Descendants()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if !w.inst.Owns(p.PID, p.Env()) {
			t.Errorf("%s is not the instance's", p.Comm)
		}
	}
}

func TestWindowsWithoutADisplay(t *testing.T) {
	progs := winetest.Build(t, "window", "messagebox", "guiforever")
	w := newWorld(t, wine.BootFull, filepath.Dir(filepath.Dir(progs["window"])), nil)
	if r := w.run(progs["window"], `O:\painted`); !r.OK() {
		t.Errorf("%+v %q %q", r.Exit, r.out, r.err)
	}
	if b, err := os.ReadFile(w.folders.Out + "/painted"); err != nil || !strings.HasPrefix(string(b), "painted") {
		t.Errorf("%q %v", b, err)
	}
	// A message box waits for nobody's click; the agent's timeout ends it.
	for _, name := range []string{"messagebox", "guiforever"} {
		p, done := w.start(progs[name])
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		if e, err := p.Wait(ctx); err == nil {
			t.Errorf("%s ended by itself: %+v", name, e)
		}
		cancel()
		if err := p.Control(context.Background(), job.OpCancel); err != nil {
			t.Error(err)
		}
		if r := done(); r.OK() || r.Cause == job.CauseInstance {
			t.Errorf("%s, cancelled: %+v", name, r.Exit)
		}
	}
	if r := w.run(progs["window"]); !r.OK() {
		t.Errorf("after that: %+v", r.Exit)
	}
}

func TestCrashesAndCodes(t *testing.T) {
	progs := winetest.Build(t, "crash", "hello", "needdll")
	w := newWorld(t, wine.BootLean, filepath.Dir(filepath.Dir(progs["crash"])), nil)
	for _, tc := range []struct {
		program string
		args    []string
		code    int
		cause   job.Cause
		detail  string
	}{
		{"hello", []string{"0"}, 0, "", ""},
		{"hello", []string{"5"}, 5, job.CauseExit, "exit code 5"},
		{"hello", []string{"256"}, 1, job.CauseExit, ""},
		{"crash", []string{"read"}, 5, job.CauseCrash, "access violation"},
		{"crash", []string{"divide"}, 148, job.CauseCrash, "division"},
		{"crash", []string{"say53"}, 53, job.CauseExit, ""},
		{"needdll", nil, 53, job.CauseMissingDLL, "absent.dll"},
	} {
		r := w.run(progs[tc.program], tc.args...)
		if r.Code != tc.code || r.Cause != tc.cause || !strings.Contains(strings.ToLower(r.Detail), tc.detail) {
			t.Errorf("%s %v: %+v\n%s", tc.program, tc.args, r.Exit, r.err)
		}
	}
	if dbg := w.find("winedbg.exe"); len(dbg) > 0 {
		t.Errorf("a debugger runs: %v", dbg)
	}
	if got := w.processes(); len(got) != 2 {
		t.Errorf("left: %v", got)
	}
}

// A file that is no program, past the check by --force.
func TestNotAProgram(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk.exe")
	if err := os.WriteFile(junk, []byte("this is no program\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, wine.BootLean, dir, nil)
	if r := w.run(junk); r.Cause != job.CauseCannotLoad || !strings.Contains(r.Detail, "junk.exe") {
		t.Errorf("%+v %s %q %q", r.Exit, r.Detail, r.out, r.err)
	}
}

// What has thrown its environment away is found nevertheless.
func TestChildWithoutEnvironment(t *testing.T) {
	exe := compile(t, "bare", `
#include <stdio.h>
#include <windows.h>
int wmain(int argc, wchar_t **argv)
{
    STARTUPINFOW si = { sizeof si };
    PROCESS_INFORMATION pi;
    wchar_t line[4096], empty[] = L"A=1\0";
    FILE *f;
    if (argc > 2) {
        if (!(f = _wfopen(argv[2], L"wb"))) return 4;
        fclose(f);
        Sleep(INFINITE);
    }
    swprintf(line, 4096, L"\"%ls\" child \"%ls\"", argv[0], argv[1]);
    return !CreateProcessW(NULL, line, NULL, NULL, FALSE, DETACHED_PROCESS | CREATE_UNICODE_ENVIRONMENT, empty, NULL, &si, &pi);
}`)
	w := newWorld(t, wine.BootLean, filepath.Dir(exe), nil)
	if r := w.run(exe, `O:\there`); !r.OK() {
		t.Fatalf("%+v %q", r.Exit, r.err)
	}
	w.eventually("the child runs", func() bool { _, err := os.Stat(w.folders.Out + "/there"); return err == nil })
	left := w.find("bare.exe")
	if len(left) != 1 || !slices.Contains(left[0].Env(), w.place.Env[0]) {
		t.Errorf("%v does not carry the mark", left)
	}
	if err := w.inst.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.nothingLeft()
}

// Folders of any length and with any name.
func TestLongAndOddPlace(t *testing.T) {
	progs := winetest.Build(t, "hello")
	for _, name := range []string{strings.Repeat("long/", 60) + "end", "odd blank and 'quote' \"x\" ü"} {
		t.Run(name[:4], func(t *testing.T) {
			w := newWorld(t, wine.BootLean, filepath.Dir(progs["hello"]), func(p *guest.Place) {
				p.Dir = filepath.Join(filepath.Dir(p.Dir), name)
			})
			if r := w.run(progs["hello"]); !r.OK() {
				t.Errorf("%+v %q", r.Exit, r.err)
			}
		})
	}
}

// A boot that hangs ends with its limit and leaves nothing.
func TestOpenGivesUp(t *testing.T) {
	w := newWorld(t, wine.BootLean, "", nil)
	place := w.place
	place.ID, place.Dir, place.Env = "lane1", w.scratch+"/lane1", []string{guest.EnvInstance + "=lane1@" + filepath.Base(w.scratch)}
	if err := os.Mkdir(place.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	if i, err := w.guest.Open(ctx, place); err == nil {
		t.Log("it was faster than the test")
		i.Close(context.Background())
	} else if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if names, err := os.ReadDir(place.Dir); err != nil || len(names) > 0 {
		t.Errorf("left: %v %v", names, err)
	}
	if got := w.processes(); len(got) != 2 {
		t.Errorf("left: %v", got)
	}
}
