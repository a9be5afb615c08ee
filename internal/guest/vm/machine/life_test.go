package machine_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/guest/vm/machine"
)

// TestClones boots a machine once, saves it, and does everything else with clones: they take a twentieth of the time.
func TestClones(t *testing.T) {
	l := newLab(t)
	dir := t.TempDir()
	l.save(dir)
	t.Run("many", func(t *testing.T) { testMany(t, l, dir) })
	t.Run("ends", func(t *testing.T) { testEnds(t, l, dir) })
	t.Run("suspend", func(t *testing.T) { testSuspend(t, l, dir) })
	t.Run("disks", func(t *testing.T) { testDisks(t, l, dir) })
	t.Run("console", func(t *testing.T) { testConsole(t, l, dir) })
	t.Run("gone", func(t *testing.T) { testGone(t, l, dir) })
	t.Run("spoiled", func(t *testing.T) { testSpoiled(t, l, dir) })
}

// testMany: clones live beside each other, each with a memory of its own, and change nothing of the saved one.
func testMany(t *testing.T, l *lab, dir string) {
	before := digest(t, dir)
	var all []*guest
	for range 4 {
		all = append(all, l.resume(t, dir))
	}
	for i, g := range all {
		if got := g.ask(fmt.Sprintf("touch %d", 16*i+1)); got != "touched" {
			t.Errorf("clone %d: the guest said %q", i, got)
		}
	}
	for i, g := range all {
		if got, want := g.ask(fmt.Sprintf("echo I am %d", i)), fmt.Sprintf("I am %d", i); got != want {
			t.Errorf("clone %d: the guest said %q", i, got)
		}
	}
	for _, g := range all {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		if err := g.Close(); err != nil {
			t.Error("the second time:", err)
		}
		if err := unix.Kill(g.PID(), 0); !errors.Is(err, unix.ESRCH) {
			t.Errorf("process %d after Close: %v", g.PID(), err)
		}
		if _, err := g.Stream().Read(make([]byte, 1)); err == nil {
			t.Error("the stream can be read after Close")
		}
	}
	if after := digest(t, dir); after != before {
		t.Errorf("the saved state was %s, and is %s after its clones", before, after)
	}
}

func digest(t *testing.T, dir string) string {
	t.Helper()
	sum := sha256.New()
	for _, name := range []string{"memory", "devices", "state.json"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := io.Copy(sum, f); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// testEnds: each way to end is told from the others.
func testEnds(t *testing.T, l *lab, dir string) {
	for _, c := range []struct {
		how    machine.How
		detail string
		end    func(*guest)
	}{
		{machine.PoweredOff, "", func(g *guest) { g.tell("off") }},
		{machine.Reset, "", func(g *guest) { g.tell("reset") }},
		{machine.Panicked, "Attempted to kill init! exitcode=0x00000300", func(g *guest) { g.tell("panic") }},
		{machine.Killed, "", func(g *guest) { g.Kill() }},
		{machine.Died, "signal 9", func(g *guest) { unix.Kill(g.PID(), unix.SIGKILL) }},
		{machine.Died, "signal 11", func(g *guest) { unix.Kill(g.PID(), unix.SIGSEGV) }},
	} {
		t.Run(string(c.how), func(t *testing.T) {
			g := l.resume(t, dir)
			c.end(g)
			end := g.ends()
			if end.How != c.how || end.Detail != c.detail {
				t.Errorf("got %q, %q; want %q, %q; console:\n%s", end.How, end.Detail, c.how, c.detail, g.Console(20))
			}
			if _, err := g.lines.ReadByte(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the stream ended with %v", err)
			}
			for _, err := range []error{g.Suspend(t.Context()), g.Continue(t.Context()), g.PowerDown(t.Context())} {
				if err == nil {
					t.Error("a machine that has ended did something")
				}
			}
			if err := g.Kill(); err != nil {
				t.Error("killing it once more:", err)
			}
		})
	}
}

// testSuspend: a suspended guest answers nothing, and everything when it goes on.
func testSuspend(t *testing.T, l *lab, dir string) {
	g := l.resume(t, dir)
	for range 2 {
		if err := g.Suspend(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	before := ticks(t, g.PID())
	g.tell("echo after all")
	time.Sleep(100 * time.Millisecond) // in which it could have answered
	if n := g.lines.Buffered(); n > 0 {
		t.Errorf("a suspended guest wrote %d bytes", n)
	}
	if after := ticks(t, g.PID()); after > before+5 {
		t.Errorf("a suspended machine took %d ticks of CPU", after-before)
	}
	for range 2 {
		if err := g.Continue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := g.hears(); got != "after all" {
		t.Errorf("the guest said %q", got)
	}
}

// ticks is the CPU time of a process.
func ticks(t *testing.T, pid int) (n int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	for _, f := range fields[11:13] {
		var v int
		if _, err := fmt.Sscan(f, &v); err != nil {
			t.Fatal(err)
		}
		n += v
	}
	return n
}

// testDisks: the guest finds its disks in their order and by their names.
func testDisks(t *testing.T, l *lab, dir string) {
	if got, want := l.resume(t, dir).ask("disks"), "vda:root:ro vdb:scratch vdc:payload:ro "; got != want {
		t.Errorf("the guest has %q, want %q", got, want)
	}
}

// testConsole: what a guest writes to its console is fit to be shown.
func testConsole(t *testing.T, l *lab, dir string) {
	g := l.resume(t, dir)
	for _, line := range []string{"one", "two \x1b[31mred\x07 \xff", strings.Repeat("long ", 100)} {
		if got := g.ask("say " + line); got != "said" {
			t.Fatalf("the guest said %q", got)
		}
	}
	// What was written before the port was, has left the machine before it, but is read by somebody else.
	g.tell("off")
	g.ends()
	want := "one\ntwo [31mred\n" + strings.Repeat("long ", 39) + "long …"
	if got := g.Console(100); !strings.Contains(got, want) {
		t.Errorf("got %q, want something with %q", got, want)
	}
	if got := g.Console(1); strings.Contains(got, "\n") {
		t.Errorf("the last line is %q", got)
	}
}

// testGone: who gives up waiting leaves nothing.
func testGone(t *testing.T, l *lab, dir string) {
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(5*time.Millisecond, stop) // in the middle, as a rule
	if m, err := l.host.Resume(ctx, l.config, dir); err == nil {
		if err := m.Close(); err != nil { // it was quick
			t.Error(err)
		}
	} else if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	stop()
	if _, err := l.host.Boot(ctx, l.config); !errors.Is(err, context.Canceled) {
		t.Errorf("booting for nobody: %v", err)
	}
	if _, err := l.host.BootToSave(ctx, l.config, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("booting for nobody: %v", err)
	}
}

// testSpoiled: a state that is not what it was is named, at once or when QEMU finds out, and never waited for.
func testSpoiled(t *testing.T, l *lab, dir string) {
	for _, c := range []struct {
		name  string
		spoil func(dir string, c *machine.Config) error
	}{
		{"nothing there", func(dir string, _ *machine.Config) error { return os.Remove(filepath.Join(dir, "state.json")) }},
		{"no word", func(dir string, _ *machine.Config) error {
			return os.WriteFile(filepath.Join(dir, "state.json"), []byte("{"), 0o600)
		}},
		{"no memory", func(dir string, _ *machine.Config) error { return os.Remove(filepath.Join(dir, "memory")) }},
		{"memory cut", func(dir string, _ *machine.Config) error { return os.Truncate(filepath.Join(dir, "memory"), 1<<20) }},
		{"devices cut", func(dir string, _ *machine.Config) error { return os.Truncate(filepath.Join(dir, "devices"), 1000) }},
		{"devices wrong", func(dir string, _ *machine.Config) error { return overwrite(filepath.Join(dir, "devices"), 0) }},
		{"devices never right", func(dir string, _ *machine.Config) error {
			return errors.Join(overwrite(filepath.Join(dir, "devices"), 0), vouch(dir))
		}},
		{"devices never whole", func(dir string, _ *machine.Config) error {
			return errors.Join(os.Truncate(filepath.Join(dir, "devices"), 1000), vouch(dir))
		}},
		{"another image", func(_ string, c *machine.Config) error { c.ImageKey = "another"; return nil }},
		{"more memory", func(_ string, c *machine.Config) error { c.Memory *= 2; return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			spoiled, config := t.TempDir(), l.config
			for _, name := range []string{"state.json", "devices"} {
				text, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(spoiled, name), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			// What is in the memory makes no difference here.
			if err := os.WriteFile(filepath.Join(spoiled, "memory"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(filepath.Join(spoiled, "memory"), l.config.Memory); err != nil {
				t.Fatal(err)
			}
			if err := c.spoil(spoiled, &config); err != nil {
				t.Fatal(err)
			}
			m, err := l.host.Resume(t.Context(), config, spoiled)
			if err == nil {
				m.Close()
			}
			if !errors.Is(err, machine.ErrState) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// overwrite makes some bytes of a file something else.
func overwrite(name string, at int64) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte(strings.Repeat("spoiled ", 32)), at); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// vouch makes a state's word of its files true.
func vouch(dir string) error {
	devices, err := os.ReadFile(filepath.Join(dir, "devices"))
	if err != nil {
		return err
	}
	name := filepath.Join(dir, "state.json")
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var word map[string]any
	if err := json.Unmarshal(text, &word); err != nil {
		return err
	}
	word["devices"] = fmt.Sprintf("%x", sha256.Sum256(devices))
	if text, err = json.Marshal(word); err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o600)
}

// TestUnsaved: of a machine that was to be saved and was not, nothing is left.
func TestUnsaved(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct {
		name string
		end  func(*guest) error
	}{
		{"closed", func(g *guest) error { return g.Close() }},
		{"dead", func(g *guest) error {
			if err := g.Kill(); err != nil {
				return err
			}
			if err := l.host.Save(t.Context(), g.Machine); err == nil || !strings.Contains(err.Error(), "saving a machine") {
				return fmt.Errorf("saving a machine that was killed: %v", err)
			}
			return nil
		}},
		{"given up", func(g *guest) error {
			ctx, stop := context.WithCancel(t.Context())
			stop()
			if err := l.host.Save(ctx, g.Machine); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("saving for nobody: %v", err)
			}
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			m, err := l.host.BootToSave(t.Context(), l.config, dir)
			g := with(t, m, err)
			if err := c.end(g); err != nil {
				t.Error(err)
			}
			if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
				t.Errorf("left: %v (%v)", left, err)
			}
			if err := l.host.Save(t.Context(), m); err == nil {
				t.Error("a machine that has ended was saved")
			}
		})
	}
	m, err := l.host.Boot(t.Context(), l.config)
	g := with(t, m, err)
	if err := l.host.Save(t.Context(), g.Machine); err == nil {
		t.Error("a machine that was not to be saved was")
	}
}

// TestNoRoomForMemory: a memory file that cannot hold the memory any more ends the machine, and that is said.
func TestNoRoomForMemory(t *testing.T) {
	l := newLab(t)
	dir := t.TempDir()
	m, err := l.host.BootToSave(t.Context(), l.config, dir)
	g := with(t, m, err)
	if err := g.Suspend(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A disk that is full shows itself in the same way as a file that is too short.
	if err := os.Truncate(filepath.Join(dir, "memory"), 0); err != nil {
		t.Fatal(err)
	}
	if err := g.Continue(t.Context()); err != nil {
		t.Log("it may end before it answers:", err)
	}
	if end := g.ends(); end.How != machine.Died || !strings.Contains(end.Detail, "is the disk full?") {
		t.Errorf("got %q", end)
	}
}
