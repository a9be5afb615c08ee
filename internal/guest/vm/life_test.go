package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/guest"
	"muster/internal/guest/vm/vmimage"
	"muster/internal/guest/vm/vmtest"
	"muster/internal/job"
	"muster/internal/proc"
)

// lab is a node with the tests' image.
type lab struct {
	t     *testing.T
	table *proc.Table
	guest *Guest
	node  guest.Node
	told  []string
}

func newLab(t *testing.T, boot string, options map[string]string) *lab {
	t.Helper()
	table, err := proc.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, table: table, guest: New(table)}
	t.Cleanup(func() {
		if err := l.guest.Close(); err != nil {
			t.Error(err)
		}
		if left, err := table.Kill(context.Background(), func(proc.Info) bool { return true }); err != nil || left > 0 {
			t.Errorf("%d processes were left, %v", left, err)
		}
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	dir, key := vmtest.Image(t, table)
	l.node = guest.Node{
		Scratch: t.TempDir(), Keep: keep(t), Image: dir, ImageKey: key, Boot: boot, Options: options,
		Tell: func(line string) { t.Log(line); l.told = append(l.told, line) },
	}
	if err := l.guest.Prepare(t.Context(), l.node); err != nil {
		t.Fatal(err)
	}
	return l
}

// keep is the folder of saved guests that tests share, beside the image: the next run finds them there.
func keep(t *testing.T) string { return filepath.Join(filepath.Dir(vmtest.Store(t).Dir()), "node") }

// place makes a place for an instance.
func (l *lab) place(id string) guest.Place {
	l.t.Helper()
	p := guest.Place{ID: id, Node: l.node, Env: []string{guest.EnvInstance + "=" + id + "@test"}}
	for _, dir := range []*string{&p.Dir, &p.Temp, &p.Folders.Work, &p.Folders.Out} {
		d, err := os.MkdirTemp(l.node.Scratch, id)
		if err != nil {
			l.t.Fatal(err)
		}
		*dir = d
	}
	return p
}

func (l *lab) open(p guest.Place) *instance {
	l.t.Helper()
	i, err := l.guest.Open(l.t.Context(), p)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		if err := i.Close(context.Background()); err != nil {
			l.t.Error(err)
		}
		for _, dir := range []string{p.Dir, p.Temp} {
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				l.t.Errorf("left in %s: %v, %v", dir, left, err)
			}
		}
	})
	return i.(*instance)
}

// start starts a script of the guest's shell.
func (l *lab) start(i *instance, script string) (guest.Process, *os.File) {
	l.t.Helper()
	out, err := os.CreateTemp(l.node.Scratch, "out")
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { out.Close() })
	p, err := i.Start(l.t.Context(), guest.Command{Program: "/bin/sh", Args: []string{"-c", script}, Stdout: out, Stderr: out, Dir: i.place.Folders.Work, Out: []string{i.place.Folders.Out}})
	if err != nil {
		l.t.Fatal(err)
	}
	return p, out
}

func (l *lab) wait(p guest.Process) job.Exit {
	l.t.Helper()
	e, err := p.Wait(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	return e
}

// run runs a script to its end and returns what it wrote.
func (l *lab) run(i *instance, script string) (job.Exit, string) {
	l.t.Helper()
	p, out := l.start(i, script)
	e := l.wait(p)
	b, err := os.ReadFile(out.Name())
	if err != nil {
		l.t.Fatal(err)
	}
	return e, string(b)
}

// Clones of one saved guest are different machines, and know what time it is.
func TestClonesAreNoTwins(t *testing.T) {
	l := newLab(t, BootWarm, map[string]string{OptNet: NetUser})
	const identity = `cat /etc/machine-id /proc/sys/kernel/random/uuid /sys/class/net/eth0/address; od -An -N8 -tx8 /dev/urandom; hostname; date +%s`
	seen := map[string]bool{}
	for _, id := range []string{"lane0.1", "lane1.2", "lane2.3"} {
		e, out := l.run(l.open(l.place(id)), identity)
		lines := strings.Fields(out)
		if !e.OK() || len(lines) != 6 {
			t.Fatalf("%v %s: %q", e, e.Detail, out)
		}
		for _, word := range lines[:5] {
			if seen[word] {
				t.Errorf("two clones have %s", word)
			}
			seen[word] = true
		}
		if want := strings.ReplaceAll(id, ".", "-"); lines[4] != want {
			t.Errorf("hostname %s, want %s", lines[4], want)
		}
		sec, err := time.ParseDuration(lines[5] + "s")
		if err != nil {
			t.Fatal(err)
		}
		if off := time.Since(time.Unix(0, 0).Add(sec)); off < -time.Minute || off > time.Minute {
			t.Errorf("its clock is %v behind", off)
		}
	}
	if len(l.guest.nodes[l.node.Image].warm.kinds) != 1 || l.guest.nodes[l.node.Image].warm.kinds[kindOf(t, l)].state == nil {
		t.Error("they were not resumed")
	}
}

func kindOf(t *testing.T, l *lab) string {
	t.Helper()
	n := l.guest.nodes[l.node.Image]
	key, _, err := n.warm.kind(n.config(guest.Place{}, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// How programs end whose guest does, or that it has no memory for.
func TestEndsOfAGuest(t *testing.T) {
	l := newLab(t, BootWarm, nil)
	for _, tc := range []struct {
		name, script string
		harm         func(p guest.Process)
		cause        job.Cause
		detail       string
		alive        bool
	}{
		{"no memory left", "tail /dev/zero", nil, job.CauseOOM, "--mem", true},
		{"its kernel panics", "echo c > /proc/sysrq-trigger; sleep 1000", nil, job.CauseInstance, "panicked", false},
		{"it powers itself off", "echo o > /proc/sysrq-trigger; sleep 1000", nil, job.CauseInstance, "the guest", false},
		{"QEMU is killed", "sleep 1000", func(p guest.Process) {
			if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}, job.CauseInstance, "signal 9", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := l.open(l.place("i"))
			p, _ := l.start(i, tc.script)
			if tc.harm != nil {
				tc.harm(p)
			}
			e := l.wait(p)
			if e.OK() || e.Cause != tc.cause || !strings.Contains(e.Detail, tc.detail) {
				t.Errorf("%v %s %q, want %s with %q", e, e.Cause, e.Detail, tc.cause, tc.detail)
			}
			if i.Alive() != tc.alive {
				t.Errorf("alive: %v", i.Alive())
			}
			if _, err := i.Start(t.Context(), guest.Command{Program: "/bin/true", Dir: i.place.Folders.Work}); (err == nil) != tc.alive || err != nil && !errors.Is(err, guest.ErrDead) {
				t.Errorf("another program: %v", err)
			}
		})
	}
}

// What keeps a guest from coming up is named, and nothing of it is left.
func TestBootFailures(t *testing.T) {
	for _, tc := range []struct {
		name string
		harm func(n *node)
		want []string
	}{
		{"its kernel panics", func(n *node) { n.image.Cmdline = "rdinit=/nothing root=/dev/nothing" }, []string{"panicked", "console"}},
		{"it says nothing", func(n *node) { n.patience = 10 * time.Millisecond }, []string{"said nothing in 10ms"}},
		{"QEMU will not", func(n *node) { n.options.memory = 1 << 50 }, []string{"QEMU ended"}},
		{"the root is gone", func(n *node) { n.image.Root.File = "gone" }, []string{"QEMU ended", "gone"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t, BootCold, nil)
			tc.harm(l.guest.nodes[l.node.Image])
			place := l.place("i")
			_, err := l.guest.Open(t.Context(), place)
			if !errors.Is(err, guest.ErrBoot) {
				t.Fatalf("%v", err)
			}
			first, _, _ := strings.Cut(err.Error(), "\n")
			for _, want := range tc.want {
				if !strings.Contains(first, want) {
					t.Errorf("%q does not tell of %q", first, want)
				}
			}
			for _, dir := range []string{place.Dir, place.Temp} {
				if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
					t.Errorf("left in %s: %v, %v", dir, left, err)
				}
			}
			all, err := l.table.Descendants()
			if err != nil || len(all) > 0 {
				t.Errorf("processes: %v, %v", all, err)
			}
		})
	}
}

// A state that does not come to life is made anew, and that is said.
func TestBadStateIsReplaced(t *testing.T) {
	l := newLab(t, BootWarm, nil)
	n := l.guest.nodes[l.node.Image]
	was := n.warm.kinds[kindOf(t, l)].state.dir
	if err := os.Truncate(filepath.Join(was, "devices"), 1000); err != nil {
		t.Fatal(err)
	}
	if e, out := l.run(l.open(l.place("i")), "echo hello"); !e.OK() || out != "hello\n" {
		t.Errorf("%v %s %q", e, e.Detail, out)
	}
	if now := n.warm.kinds[kindOf(t, l)].state; now == nil || now.dir == was {
		t.Errorf("it was not replaced: %v", now)
	}
	if left := n.warm.states.find(filepath.Base(was)[:strings.IndexByte(filepath.Base(was), '.')], nil); left != nil {
		if left.dir == was {
			t.Error("others may still try it")
		}
		left.close()
	}
	if len(l.told) == 0 || !strings.Contains(strings.Join(l.told, "\n"), "did not come to life") {
		t.Errorf("told: %q", l.told)
	}
}

// The instances of a group reach each other by name.
func TestSlotNetwork(t *testing.T) {
	l := newLab(t, BootWarm, map[string]string{OptNet: NetSlot})
	var members []*instance
	for k := range 2 {
		p := l.place("lane0")
		p.Group, p.Number, p.Members = "lane0", k, 2
		members = append(members, l.open(p))
	}
	const listen = `perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => 7777, Listen => 1, ReuseAddr => 1) or die $@; $| = 1; print "listening\n"; $c = $s->accept; print scalar <$c>'`
	const speak = `perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(PeerAddr => "slot1", PeerPort => 7777, Timeout => 60) or die $@; print $s "hello from $ENV{FROM}\n"'`
	server, out := l.start(members[0], listen)
	for {
		if b, err := os.ReadFile(out.Name()); err != nil || strings.Contains(string(b), "listening") {
			break
		}
		select {
		case <-t.Context().Done():
			t.Fatal("it does not listen")
		case <-time.After(10 * time.Millisecond):
		}
	}
	if e, text := l.run(members[1], "FROM=$(hostname) "+speak); !e.OK() {
		t.Fatalf("%v %s %s", e, e.Detail, text)
	}
	e := l.wait(server)
	if b, _ := os.ReadFile(out.Name()); !e.OK() || !strings.Contains(string(b), "hello from slot2\n") {
		t.Errorf("%v %q", e, b)
	}
}

// What cannot be brought back is no success.
func TestDiskFullOnTheWayBack(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system takes root")
	}
	l := newLab(t, BootWarm, nil)
	p := l.place("i")
	if err := unix.Mount("tmpfs", p.Folders.Out, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	defer func() {
		if err := unix.Unmount(p.Folders.Out, 0); err != nil {
			t.Error(err)
		}
	}()
	e, out := l.run(l.open(p), "head -c 1000000 /dev/zero > "+outDir+"/x")
	if e.Cause != job.CausePublish || !strings.Contains(e.Detail, "no space") {
		t.Errorf("%v %s %q %s", e, e.Cause, e.Detail, out)
	}
}

// The clock of a guest that was suspended is right when it goes on, and it is the same machine.
func TestClockAfterSuspend(t *testing.T) {
	const pause = 4 * time.Second
	l := newLab(t, BootWarm, nil)
	i := l.open(l.place("i"))
	look := func() (id string, behind time.Duration) {
		t.Helper()
		now := time.Now()
		e, out := l.run(i, "cat /etc/machine-id; date +%s%N")
		var ns int64
		if _, err := fmt.Sscan(out, &id, &ns); !e.OK() || err != nil {
			t.Fatalf("%v %s %q: %v", e, e.Detail, out, err)
		}
		return id, now.Sub(time.Unix(0, ns))
	}
	id, _ := look()
	if err := i.Control(t.Context(), job.OpSuspend); err != nil {
		t.Fatal(err)
	}
	time.Sleep(pause)
	if err := i.Control(t.Context(), job.OpContinue); err != nil {
		t.Fatal(err)
	}
	again, behind := look()
	if behind > pause/2 {
		t.Errorf("its clock is %v behind, having stood still for %v", behind, pause)
	}
	if again != id {
		t.Errorf("machine %s has become %s", id, again)
	}
}

// A system that ends its services one by one is given the time for it.
func TestGraceFor(t *testing.T) {
	for _, kind := range []vmimage.Kind{vmimage.Full, vmimage.UserDisk} {
		if graceFor(kind) <= graceFor(vmimage.Stripped) {
			t.Errorf("a guest of the kind %s has %v to power down", kind, graceFor(kind))
		}
	}
}
