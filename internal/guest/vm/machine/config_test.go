package machine

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"muster/internal/goldentest"
)

// TestArgs shows QEMU's command lines: an option a line.
func TestArgs(t *testing.T) {
	plain := Config{
		Board: Micro, Accel: TCG, Memory: 256 << 20, TSC: 2000123, Kernel: "/img/kernel", Initrd: "/img/initrd", Cmdline: "root=erofs",
		Disks: []Disk{
			{Name: "root", Path: "/img/root.erofs", ReadOnly: true},
			{Name: "scratch", Path: "/scratch/lane0/scratch", Scratch: true},
			{Name: "payload", Path: `/scratch/lane0/a, "b"\<c>`, ReadOnly: true},
		},
	}
	with := func(change func(*Config)) Config {
		c := plain
		change(&c)
		return c
	}
	for _, c := range []struct {
		name     string
		config   Config
		mem      memory
		incoming bool
	}{
		{name: "cold", config: plain},
		{name: "to-save", config: plain, mem: memory{"/state/memory", true}},
		{name: "resumed", config: plain, mem: memory{"/state/memory", false}, incoming: true},
		{name: "kvm", config: with(func(c *Config) { c.Accel, c.VCPUs = KVM, 4 })},
		{name: "network", config: with(func(c *Config) { c.VCPUs, c.Net = 2, Net{User: true, MAC: "52:54:00:00:00:01"} })},
		{name: "segment", config: with(func(c *Config) { c.Net = Net{Socket: os.Stdin} })},
		{name: "disk", config: Config{Board: Q35, Accel: TCG, Memory: 1 << 30, CPU: "Nehalem", Net: Net{User: true}, Disks: []Disk{{Name: "root", Path: "/lane0/root.qcow2", Format: "qcow2", Scratch: true}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.config.check(); err != nil {
				t.Error(err)
			}
			var text strings.Builder
			for _, a := range c.config.args(c.mem, c.incoming) {
				if strings.HasPrefix(a, "-") && text.Len() > 0 {
					text.WriteString("\n")
				} else if text.Len() > 0 {
					text.WriteString(" ")
				}
				text.WriteString(a)
			}
			goldentest.Check(t, c.name+".golden", text.String()+"\n")
		})
	}
}

func TestCheck(t *testing.T) {
	good := Config{Board: Micro, Accel: TCG, Memory: 256 << 20, Kernel: "/k"}
	for _, c := range []struct {
		want   string
		change func(*Config)
	}{
		{"board", func(c *Config) { c.Board = "isapc" }},
		{"accelerator", func(c *Config) { c.Accel = "xen" }},
		{"MiB", func(c *Config) { c.Memory = 1<<20 + 1 }},
		{"MiB", func(c *Config) { c.Memory = 0 }},
		{"kernel", func(c *Config) { c.Kernel = "" }},
		{"name", func(c *Config) { c.Disks = []Disk{{Name: "a,b", Path: "/d"}} }},
		{"UTF-8", func(c *Config) { c.Disks = []Disk{{Name: "a", Path: "/\xff"}} }},
		{"more than", func(c *Config) { c.Disks = make([]Disk, 6); fill(c.Disks) }},
		{"two disks", func(c *Config) { c.Disks = []Disk{{Name: "a", Path: "/d"}, {Name: "a", Path: "/e"}} }},
		{"MAC", func(c *Config) { c.Net.MAC = "1,netdev=x" }},
		{"CPU", func(c *Config) { c.CPU = "max -S" }},
	} {
		bad := good
		c.change(&bad)
		if err := bad.check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want something with %q", err, c.want)
		}
	}
	if err := good.check(); err != nil {
		t.Error(err)
	}
}

func fill(disks []Disk) {
	for i := range disks {
		disks[i] = Disk{Name: string(rune('a' + i)), Path: "/d"}
	}
}

// TestStateKey: what two machines may differ in, and what not.
func TestStateKey(t *testing.T) {
	h := Host{QEMU: QEMU{Version: "7.2.22"}}
	base := Config{Board: Micro, Accel: TCG, Memory: 256 << 20, Kernel: "/k", ImageKey: "i", Disks: []Disk{{Name: "root", Path: "/a"}}}
	key := func(h Host, c Config) string {
		t.Helper()
		k, err := h.StateKey(c)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	want := key(h, base)
	for _, c := range []struct {
		what   string
		same   bool
		change func(*Host, *Config)
	}{
		{"another clone's disk", true, func(_ *Host, c *Config) { c.Disks = []Disk{{Name: "root", Path: "/b"}} }},
		{"CPUs to run on", true, func(_ *Host, c *Config) { c.CPUs = []int{1} }},
		{"no kernel to load", true, func(_ *Host, c *Config) { c.Kernel, c.Initrd = "", "" }},
		{"QEMU", false, func(h *Host, _ *Config) { h.QEMU.Version = "8.0.0" }},
		{"QEMU's package", false, func(h *Host, _ *Config) { h.QEMU.Package = "deb12u19" }},
		{"memory", false, func(_ *Host, c *Config) { c.Memory = 512 << 20 }},
		{"vCPUs", false, func(_ *Host, c *Config) { c.VCPUs = 2 }},
		{"CPU model", false, func(_ *Host, c *Config) { c.CPU = "Nehalem" }},
		{"image", false, func(_ *Host, c *Config) { c.ImageKey = "j" }},
		{"a disk more", false, func(_ *Host, c *Config) { c.Disks = append(c.Disks, Disk{Name: "more", Path: "/a"}) }},
		{"a network", false, func(_ *Host, c *Config) { c.Net.User = true }},
		{"another kernel command line", false, func(_ *Host, c *Config) { c.Cmdline = "x" }},
	} {
		h, b := h, base
		c.change(&h, &b)
		if got := key(h, b); (got == want) != c.same {
			t.Errorf("%s: the same key: %v, want %v", c.what, got == want, c.same)
		}
	}
}

// TestLimits: a limit that holds already is never raised, which an ordinary user may not.
func TestLimits(t *testing.T) {
	c := Config{Memory: 1 << 30, VCPUs: 2}
	for _, held := range []uint64{0, 1000, 3 << 30, unix.RLIM_INFINITY} {
		got, err := c.limits(func(_ int, l *unix.Rlimit) error { l.Cur, l.Max = 0, held; return nil })
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range got {
			if l.Value > held {
				t.Errorf("resource %d: %d, where %d holds", l.Resource, l.Value, held)
			}
			if l.Resource == unix.RLIMIT_AS && held == unix.RLIM_INFINITY && l.Value < 9<<30 {
				t.Errorf("an address space of %d bytes", l.Value)
			}
		}
	}
}
