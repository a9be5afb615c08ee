package machine_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"muster/internal/guest/vm/machine"
	"muster/internal/guest/vm/machine/machinetest"
	"muster/internal/proc/proctest"
)

// patience is how long a test waits for what comes at once on a machine with nothing else to do. A guest that has not
// come by then is stuck.
const patience = 2 * time.Minute

// lab is a host, and a machine that boots on it.
type lab struct {
	t      testing.TB
	host   machine.Host
	config machine.Config
}

func newLab(t testing.TB) *lab {
	t.Helper()
	if testing.Short() {
		t.Skip("booting takes seconds")
	}
	kernel := machinetest.NeedKernel(t)
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	table := proctest.Table(t)
	q, err := machine.Find(t.Context(), table, os.Getenv("PATH"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l := &lab{t: t, host: machine.Host{Table: table, QEMU: q}, config: machine.Config{
		Board: machine.Micro, Accel: machine.TCG, Memory: 256 << 20, TSC: machine.HostTSC(),
		Kernel: kernel, Initrd: machinetest.Initrd(t), ImageKey: "test",
	}}
	for _, d := range []machine.Disk{{Name: "root", ReadOnly: true}, {Name: "scratch", Scratch: true}, {Name: "payload", ReadOnly: true}} {
		d.Path = filepath.Join(dir, d.Name+`, "of" a test`)
		if err := os.WriteFile(d.Path, make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		l.config.Disks = append(l.config.Disks, d)
	}
	return l
}

// guest is a machine and what is said with its guest.
type guest struct {
	*machine.Machine
	t     testing.TB
	lines *bufio.Reader
}

// with takes a machine that was just started; it is closed at the latest with the test.
func with(t testing.TB, m *machine.Machine, err error) *guest {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	if c, ok := m.Stream().(interface{ SetDeadline(time.Time) error }); !ok || c.SetDeadline(time.Now().Add(patience)) != nil {
		t.Error("the stream has no deadlines")
	}
	return &guest{m, t, bufio.NewReader(m.Stream())}
}

// hears reads a line that the guest says.
func (g *guest) hears() string {
	g.t.Helper()
	text, err := g.lines.ReadString('\n')
	if err != nil {
		if e := g.Close(); e != nil {
			g.t.Error(e)
		}
		end, _ := g.Wait(g.t.Context())
		g.t.Fatalf("reading from the guest: %v (%v); its console:\n%s", err, end, g.Console(50))
	}
	return strings.TrimSuffix(text, "\n")
}

// ask tells the guest something and returns what it says to that.
func (g *guest) ask(what string) string {
	g.t.Helper()
	g.tell(what)
	return g.hears()
}

func (g *guest) tell(what string) {
	g.t.Helper()
	if _, err := fmt.Fprintln(g.Stream(), what); err != nil {
		g.t.Fatal(err)
	}
}

// ends waits for the machine's end.
func (g *guest) ends() machine.End {
	g.t.Helper()
	ctx, stop := context.WithTimeout(g.t.Context(), patience)
	defer stop()
	end, err := g.Wait(ctx)
	if err != nil {
		g.t.Fatal(err)
	}
	return end
}

// save boots the lab's machine and saves it in dir when its guest waits.
func (l *lab) save(dir string) {
	l.t.Helper()
	m, err := l.host.BootToSave(l.t.Context(), l.config, dir)
	g := with(l.t, m, err)
	if got := g.hears(); got != "ready" {
		l.t.Fatalf("the guest said %q", got)
	}
	if err := l.host.Save(l.t.Context(), m); err != nil {
		l.t.Fatal(err)
	}
}

// resume makes a clone of what was saved.
func (l *lab) resume(t testing.TB, dir string) *guest {
	t.Helper()
	m, err := l.host.Resume(t.Context(), l.config, dir)
	return with(t, m, err)
}
