package machine_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"muster/internal/guest/vm/machine"
	"muster/internal/guest/vm/machine/machinetest"
	"muster/internal/proc"
)

const patience = 60 * time.Second

type lab struct {
	t      testing.TB
	host   machine.Host
	config machine.Config
}

func newLab(t testing.TB) *lab {
	t.Helper()
	kernel := machinetest.NeedKernel(t)
	table, err := proc.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n, err := table.Kill(context.Background(), func(proc.Info) bool { return true }); n > 0 || err != nil {
			t.Errorf("%d processes were left (%v)", n, err)
		}
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	q, err := machine.Find(t.Context(), table, os.Getenv("PATH"))
	if err != nil {
		t.Fatal(err)
	}
	if k := os.Getenv("KERNEL"); k != "" {
		kernel = k
	}
	return &lab{t: t, host: machine.Host{Table: table, QEMU: q}, config: machine.Config{
		Board: machine.Micro, Accel: machine.TCG, Memory: 256 << 20, TSC: machine.HostTSC(),
		Kernel: kernel, Initrd: machinetest.Initrd(t),
	}}
}

// line reads a line that the guest says.
func (l *lab) line(m *machine.Machine, r *bufio.Reader) string {
	l.t.Helper()
	text, err := r.ReadString('\n')
	if err != nil {
		end, _ := m.Wait(l.t.Context())
		l.t.Fatalf("reading from the guest: %v; %v; console:\n%s", err, end, m.Console(50))
	}
	return strings.TrimSuffix(text, "\n")
}

func TestLife(t *testing.T) {
	l := newLab(t)
	begin := time.Now()
	m, err := l.host.Boot(t.Context(), l.config)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	time.AfterFunc(60*time.Second, func() { m.Kill() })
	r := bufio.NewReader(m.Stream())
	t.Log(l.line(m, r), time.Since(begin))
	fmt.Fprintf(m.Stream(), "off\n")
	end, err := m.Wait(t.Context())
	t.Log(end, err, time.Since(begin), end.Exit)
	t.Log(m.Console(100))

	dir := t.TempDir()
	m, err = l.host.BootToSave(t.Context(), l.config, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r = bufio.NewReader(m.Stream())
	t.Log(l.line(m, r), time.Since(begin))
	begin = time.Now()
	if err := l.host.Save(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	t.Log("saved", time.Since(begin))
	for range 5 {
		begin = time.Now()
		m, err = l.host.Resume(t.Context(), l.config, dir)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		a := time.Since(begin)
		fmt.Fprintf(m.Stream(), "echo hello\n")
		t.Log(l.line(m, bufio.NewReader(m.Stream())), a, time.Since(begin))
		begin = time.Now()
		m.Close()
		t.Log("closed", time.Since(begin))
		e, _ := m.Wait(t.Context())
		t.Log(e, e.Exit)
	}
	x, _ := os.ReadDir(dir)
	for _, f := range x {
		i, _ := f.Info()
		t.Log(f.Name(), i.Size())
	}
}
