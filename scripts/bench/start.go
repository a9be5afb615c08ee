package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/guest"
	wineguest "muster/internal/guest/wine"
	"muster/internal/image"
	"muster/internal/proc"
)

// quick is the program whose starts are measured: it imports from kernel32 only.
// With an argument it stays.
const quick = `#include <windows.h>
void start(void)
{
	const char *line = GetCommandLineA();
	DWORD written;
	int n = 0;
	while (line[n])
		n++;
	WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), "alive\n", 6, &written, NULL);
	if (line[n - 1] == '+')
		Sleep(INFINITE);
	ExitProcess(0);
}
`

// A variant is a way to start it.
type variant struct {
	name   string
	boot   string
	own    bool     // each has a server of its own
	keep   []string // what of Wine is not trimmed
	twice, // Wine's loader executes itself a second time
	locales bool // the C library opens a file for each category
	phases string // its name where its phases are shown; "": they are not
}

// The levers alone, from a Wine as it is installed, and all of them.
var variants = []variant{
	{name: "shared lean server: Wine as it is installed", boot: "lean", keep: []string{"all"}, twice: true, locales: true, phases: "as installed"},
	{name: "— no second exec", boot: "lean", keep: []string{"all"}, locales: true},
	{name: "— one locale file", boot: "lean", keep: []string{"all"}, twice: true},
	{name: "— `stack`", boot: "lean", keep: except("stack"), twice: true, locales: true},
	{name: "— `timezone`", boot: "lean", keep: except("timezone"), twice: true, locales: true},
	{name: "— `topology`", boot: "lean", keep: except("topology"), twice: true, locales: true},
	{name: "— `locale`", boot: "lean", keep: except("locale"), twice: true, locales: true},
	{name: "**shared lean server: all**", boot: "lean", phases: "all levers"},
	{name: "shared full server", boot: "full"},
	{name: "own lean server each: Wine as it is installed", boot: "lean", own: true, keep: []string{"all"}},
	{name: "**own lean server each: all**", boot: "lean", own: true},
}

// except is all that can be kept but one.
func except(lever string) []string {
	return slices.DeleteFunc(wineguest.TrimNames(), func(name string) bool { return name == lever || name == "all" })
}

// A cost is what one start takes, to its end.
type cost struct {
	trips, calls     int     // of the program: round trips to the server, system calls
	faults, switches float64 // of the program; with a server of its own, of both
	client, server   time.Duration
	private, tables  int64   // bytes of one that lives
	phases           []phase // nil: not traced
}

// start measures one start of a Windows program in each variant. It is a table of
// its own, since it compares no two rates.
func start(ctx context.Context, b *bench) (_ string, err error) {
	dir, err := b.fresh("start")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program := filepath.Join(dir, "program")
	exe := filepath.Join(program, "quick.exe")
	source := filepath.Join(dir, "quick.c")
	if err := errors.Join(os.Mkdir(program, 0o755), os.WriteFile(source, []byte(quick), 0o644)); err != nil {
		return "", err
	}
	if _, _, err := b.timed(ctx, "x86_64-w64-mingw32-gcc", "-Os", "-nostdlib", "-ffreestanding", "-fno-stack-protector",
		"-fno-asynchronous-unwind-tables", "-Wl,--entry,start", "-Wl,--subsystem,console", "-s", "-o", exe, source, "-lkernel32"); err != nil {
		return "", err
	}
	store, err := image.Open(filepath.Join(dir, "images"))
	if err != nil {
		return "", err
	}
	var text, phases strings.Builder
	text.WriteString("| one start, to its end | round trips | system calls | page faults | switches | CPU of the program | CPU of the server | both | memory of its own | page tables |\n" +
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, v := range variants {
		c, err := b.startCost(ctx, v, store, exe, dir)
		if err != nil {
			return "", fmt.Errorf("%s: %w", v.name, err)
		}
		server := millis(c.server)
		if v.own {
			server = "in it"
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %.0f | %.0f | %s | %s | %s | %s | %s |\n", v.name, count(c.trips), count(c.calls),
			c.faults, c.switches, millis(c.client), server, millis(c.client+c.server), kib(c.private), kib(c.tables))
		phases.WriteString(phaseTable(v.phases, c.phases))
	}
	text.WriteString("\n" + startNote)
	if phases.Len() > 0 {
		text.WriteString("\n" + phasesHead + phases.String() + "\n" + phasesNote)
	}
	return text.String(), nil
}

const startNote = "Each lever alone, and all of them together. CPU is user and system time, the lesser of three series of 60 starts one after the other\n" +
	"(30 with a server each, where that, the clone and taking it down are in it). Round trips and system calls are counted by strace in one start. Memory: what one of\n" +
	"several living programs has for itself (Private_Dirty), and its page tables. Others were at work on the machine: compare rows, not days.\n"

func millis(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

func kib(n int64) string {
	if n == 0 {
		return "–"
	}
	return thousands(int(n>>10)) + " KiB"
}

func count(n int) string {
	if n == 0 {
		return "–"
	}
	return thousands(n)
}

// startCost measures one variant.
func (b *bench) startCost(ctx context.Context, v variant, store *image.Store, exe, dir string) (c cost, err error) {
	table, err := proc.NewTable()
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	build := wineguest.Build{Keep: v.keep, Name: "i"}
	built, err := wineguest.NewFront(table, store, os.Getenv).Build(ctx, build, nil)
	if err != nil {
		return c, err
	}
	s := &starter{table: table, variant: v, exe: exe, guest: wineguest.New(table), dir: filepath.Join(dir, "place")}
	defer func() { err = errors.Join(err, s.guest.Close()) }()
	s.node = guest.Node{Scratch: dir, Image: built.Dir, ImageKey: built.Manifest.Key, Boot: v.boot}
	if v.own {
		return c, s.ownServers(ctx, &c)
	}
	return c, s.shared(ctx, &c)
}

// usage is what the ended children of this process have used.
func usage() (cpu time.Duration, faults, switches int64, err error) {
	var u unix.Rusage
	err = unix.Getrusage(unix.RUSAGE_CHILDREN, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), u.Minflt, u.Nvcsw + u.Nivcsw, err
}

// series measures rounds series of n runs; the one with the least CPU counts.
func (c *cost) series(n int, server func() time.Duration, run func() error) error {
	for round := range 3 {
		cpu, faults, switches, err := usage()
		before := server()
		for range n {
			if err := run(); err != nil {
				return err
			}
		}
		cpu2, faults2, switches2, err2 := usage()
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		client, theirs := (cpu2-cpu)/time.Duration(n), (server()-before)/time.Duration(n)
		if round == 0 || client+theirs < c.client+c.server {
			c.client, c.server = client, theirs
			c.faults, c.switches = float64(faults2-faults)/float64(n), float64(switches2-switches)/float64(n)
		}
	}
	return nil
}
