package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/internal/guest/vm/machine"
	"muster/internal/guest/vm/machine/machinetest"
	"muster/internal/guest/vm/vmimage"
	"muster/internal/guest/vm/wire"
	"muster/internal/guest/vm/wire/tree"
	"muster/internal/proc"
)

// patient bounds a boot under an emulated processor on a busy machine.
const patient = 2 * time.Minute

// lab is one guest: a real kernel, this program as its first process, and a root with a shell.
type lab struct {
	*wire.Host
	machine *machine.Machine
}

func newLab(t *testing.T) *lab {
	t.Helper()
	kernel := machinetest.NeedKernel(t)
	table, err := proc.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	qemu, err := machine.Find(t.Context(), table, os.Getenv("PATH"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	disk := func(name string, sources ...vmimage.Source) machine.Disk {
		d := machine.Disk{Name: name, Path: filepath.Join(dir, name), ReadOnly: true}
		if err := vmimage.WritePayload(t.Context(), d.Path, sources); err != nil {
			t.Fatal(err)
		}
		return d
	}
	root := disk("root", shell(t)...)
	payload := disk("payload", vmimage.Source{At: "data", Host: folder(t, "hello", "from the payload\n")})
	scratch := machine.Disk{Name: "scratch", Path: filepath.Join(dir, "scratch"), Scratch: true}
	if out, err := exec.Command("/sbin/mke2fs", "-q", "-F", "-t", "ext4", scratch.Path, "2G").CombinedOutput(); err != nil {
		t.Fatalf("making the scratch disk: %v: %s", err, out)
	}
	init, err := os.ReadFile(built(t))
	if err != nil {
		t.Fatal(err)
	}
	m, err := (machine.Host{Table: table, QEMU: qemu}).Boot(t.Context(), machine.Config{
		Board: machine.Micro, Accel: machine.TCG, Memory: 128 << 20, TSC: machine.HostTSC(), Kernel: kernel,
		Initrd: machinetest.InitrdOf(t, init, "lib/libcrc32c", "fs/erofs/erofs", "fs/overlayfs/overlay", "net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net"),
		Disks:  []machine.Disk{root, scratch, payload},
		Net:    machine.Net{User: true, MAC: "52:54:00:00:00:01"},
	})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{machine: m}
	t.Cleanup(func() {
		if l.Host != nil {
			l.Close()
		}
		if t.Failed() {
			t.Log("the guest's console:\n" + m.Console(40))
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if l.Host, err = wire.Dial(ctx, m.Stream()); err != nil {
		t.Fatal(err)
	}
	return l
}

// built builds the program as scripts/go.sh does.
func built(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "muster-init")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building muster-init: %v: %s", err, out)
	}
	return program
}

// folder makes a folder with one file.
func folder(t *testing.T, name, content string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// shell is the least that a root needs: this host's shell and some tools, with their libraries.
func shell(t *testing.T) []vmimage.Source {
	t.Helper()
	found := map[string]bool{}
	for _, name := range []string{"sh", "cat", "head", "tail", "uname", "date", "stat", "sleep", "mkdir"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		found["/bin/"+name] = true
		out, err := exec.Command("ldd", path).Output()
		if err != nil {
			t.Fatalf("ldd %s: %v", path, err)
		}
		for word := range strings.FieldsSeq(string(out)) {
			if strings.HasPrefix(word, "/") {
				found[word] = true
			}
		}
	}
	sources := []vmimage.Source{{At: "etc", Host: folder(t, "os-release", "ID=test\n")}}
	for name := range found {
		sources = append(sources, vmimage.Source{At: strings.TrimPrefix(name, "/"), Host: name})
	}
	return sources
}

// sh runs a script in the guest and returns what it wrote.
func (l *lab) sh(t *testing.T, script string) (out string, e wire.Exit) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := l.Start(t.Context(), wire.Command{Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=/bin"}}, wire.Streams{Out: f, Err: f}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e, err = p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b), e
}

// TestGuest is a guest's life, in a real one: booting one takes seconds, so there is one for all.
func TestGuest(t *testing.T) {
	if testing.Short() {
		t.Skip("it boots a machine")
	}
	l := newLab(t)
	hello := l.Hello()
	t.Logf("%+v", hello)
	if hello.Kernel == "" || len(hello.Boot) != 36 || hello.CPUs != 1 || hello.Memory < 64<<20 || !hello.Cells {
		t.Errorf("it says of itself %+v", hello)
	}
	now := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	const id = "0123456789abcdef0123456789abcdef"
	err := l.Settle(t.Context(), wire.Settings{
		Hostname: "clone7", MachineID: id, Now: now, Entropy: make([]byte, 64), Hosts: map[string]string{"other": "10.0.0.2"},
		DNS: []netip.Addr{netip.MustParseAddr("10.0.2.3")},
		Net: []wire.Interface{{
			Name: "eth0", MAC: "52:54:00:12:34:56", Address: netip.MustParsePrefix("10.0.2.15/24"), Gateway: netip.MustParseAddr("10.0.2.2"),
		}},
		Mounts: []wire.Mount{{Device: "payload", At: "/run/muster/payload"}, {From: "/run/muster/payload/data", At: "/mnt/data"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, script, want string }{
		{"host name", "uname -n", "clone7\n"},
		{"machine-id", "cat /etc/machine-id", id + "\n"},
		{"clock", "date -u +%Y-%m-%dT%H:%M", "2031-02-03T04:05\n"},
		{"hosts", "tail -n 2 /etc/hosts", "127.0.1.1 clone7\n10.0.0.2 other\n"},
		{"payload", "cat /mnt/data/hello; echo x >/mnt/data/hello", "from the payload\n/bin/sh: 1: cannot create /mnt/data/hello: Read-only file system\n"},
		{"root", "cat /etc/os-release; echo changed >/etc/os-release; cat /etc/os-release", "ID=test\nchanged\n"},
		{"temporary folder", "echo x >/tmp/x && cat /tmp/x && stat -c %a /tmp", "x\n1777\n"},
		{"devices", "echo x >/dev/null; echo y >/dev/stdout; head -c 3 /dev/zero >/dev/shm/z; stat -c %s /dev/shm/z", "y\n3\n"},
		{"network card", "cat /sys/class/net/eth0/address /sys/class/net/eth0/operstate", "52:54:00:12:34:56\nup\n"},
		{"address", `while read -r a b rest; do [ "$b" != 10.0.2.15 ] || echo "$b"; done </proc/net/fib_trie | head -n 1`, "10.0.2.15\n"},
		{"ways", `while read -r name to by rest; do echo "$name $to $by"; done </proc/net/route | tail -n 2`, "eth0 00000000 0202000A\neth0 0002000A 00000000\n"},
		{"name server", "cat /etc/resolv.conf", "nameserver 10.0.2.3\n"},
		{"signals to the first process", "kill -TERM 1; kill -INT 1; echo lives", "lives\n"},
		{"open files", "ulimit -Sn; ulimit -Hn", "1024\n1048576\n"},
		{"loopback", "cat /sys/class/net/lo/operstate", "unknown\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, _ := l.sh(t, c.script); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	t.Run("trees", func(t *testing.T) {
		from, to := t.TempDir(), t.TempDir()
		for i := range 300 {
			if err := os.WriteFile(filepath.Join(from, fmt.Sprint(i)), fmt.Append(nil, i), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Put(t.Context(), "/muster/1", from, tree.Keep); err != nil {
			t.Fatal(err)
		}
		l.sh(t, "head -c 5000000 /dev/zero >/muster/1/large")
		if count, err := l.Get(t.Context(), "/muster/1", to, tree.Limits{}); err != nil || count.Files != 301 || count.Bytes < 5_000_000 {
			t.Fatalf("%+v, %v", count, err)
		}
		if b, err := os.ReadFile(filepath.Join(to, "299")); err != nil || string(b) != "299" {
			t.Errorf("%q, %v", b, err)
		}
	})
	t.Run("out of memory", func(t *testing.T) {
		// tail keeps its last lines, and there is but one.
		out, e := l.sh(t, "exec tail -n 1 /dev/zero")
		if e.Signal != int(syscall.SIGKILL) || !e.OutOfMemory {
			t.Errorf("%+v: %s", e, out)
		}
		if out, e := l.sh(t, "echo lives"); out != "lives\n" || e.OutOfMemory {
			t.Errorf("then %+v: %s", e, out)
		}
	})
	if err := l.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if end, err := l.machine.Wait(ctx); err != nil || end.How != machine.PoweredOff {
		t.Errorf("it ended with %v, %v", end, err)
	}
	<-l.Done()
	if !errors.Is(l.Err(), wire.ErrGone) {
		t.Error(l.Err())
	}
}
