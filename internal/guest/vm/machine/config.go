package machine

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Board is the kind of computer.
type Board string

// The boards.
const (
	// Micro is QEMU's microvm: virtio devices on a plain bus, a serial port, and nothing else. It
	// boots kernels, not disks.
	Micro Board = "microvm"
	// Q35 is a PC, for what needs a BIOS.
	Q35 Board = "q35"
)

// Accel is what executes the guest's instructions.
type Accel string

// The accelerators.
const (
	KVM Accel = "kvm" // the processor
	TCG Accel = "tcg" // QEMU's translator
)

// Config describes one machine: the guest's hardware, and the QEMU process that is to be it.
type Config struct {
	Board  Board
	Accel  Accel
	CPU    string // QEMU's name of a CPU model; "": the best that Accel has
	VCPUs  int    // 0: 1
	Memory int64  // bytes, in whole MiB

	// Kernel is booted with Initrd and Cmdline. "": the board's firmware boots the first disk. What
	// the machine itself asks of a kernel (its console, what to do after a panic) goes before Cmdline.
	Kernel, Initrd, Cmdline string
	TSC                     int64 // the host's TSC in kHz (HostTSC), which a guest under TCG cannot find out; 0: it is left to try

	Disks []Disk // in this order: /dev/vda, /dev/vdb …
	Net   Net

	// ImageKey says which image the files are, for the key of saved states.
	ImageKey string

	// The process.
	CPUs []int    // of the host to run on, a vCPU on each in turn; nil: all
	Env  []string // its environment, with the agent's marks
}

// Disk is a virtio disk.
type Disk struct {
	Name     string // at most 20 letters and digits; the guest finds it in /sys/block/vdX/serial
	Path     string
	Format   string // "raw" or "qcow2"; "": raw
	ReadOnly bool
	// Scratch disks are thrown away with the machine: nothing written to them is ever synced, and what the guest
	// deletes goes from the host's file.
	Scratch bool
}

// Net is the machine's network card. The zero value: none.
type Net struct {
	User   bool     // QEMU's own network address translation, from an ordinary user's sockets
	Socket *os.File // or: a datagram socket; each datagram is an Ethernet frame. The caller closes it after Start
	MAC    string
}

func (n Net) card() bool { return n.User || n.Socket != nil }

// Descriptors of the QEMU process, in the order of proc.Cmd.Files.
const (
	fdQMP = 3 + iota
	fdStream
	fdConsole
	fdNext // the network's socket, a saved state: in this order
)

// memory says where a guest's memory is. The zero value: nowhere but in the process.
type memory struct {
	file  string
	share bool // changes go to the file; false: they are the process's own
}

// args is QEMU's command line without its name. It depends on nothing but its arguments.
func (c Config) args(mem memory, incoming bool) []string {
	a := []string{
		// The name shows in ps; -no-reboot makes a guest that resets itself end.
		"-name", "muster", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-machine", c.machine(),
		"-accel", c.accel(),
		"-cpu", c.model(),
		"-smp", strconv.Itoa(c.vcpus()),
		"-m", strconv.FormatInt(c.Memory>>20, 10) + "M",
		"-object", c.ram(mem),
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", fdQMP),
		"-mon", "chardev=qmp,mode=control",
		"-chardev", fmt.Sprintf("socket,id=console,fd=%d", fdConsole),
		"-serial", "chardev:console",
		"-chardev", fmt.Sprintf("socket,id=muster,fd=%d", fdStream),
	}
	bus := &bus{board: c.Board}
	for _, d := range c.Disks {
		a = append(a, "-blockdev", d.blockdev(), "-device", bus.device("virtio-blk", "drive="+d.Name, "serial="+d.Name))
	}
	a = append(a,
		"-device", bus.device("virtio-serial", "max_ports=2"),
		"-device", "virtserialport,chardev=muster,name=muster",
		"-device", bus.device("virtio-rng"),
	)
	if c.Net.card() {
		a = append(a, "-netdev", c.Net.netdev(), "-device", bus.device("virtio-net", c.Net.device(c.Board)...))
	}
	switch {
	case incoming:
		// What was loaded into the guest's memory to boot it is there, or no more needed. QEMU would keep a
		// copy of its own.
		a = append(a, "-incoming", "defer")
	case c.Kernel != "":
		a = append(a, "-kernel", c.Kernel)
		if c.Initrd != "" {
			a = append(a, "-initrd", c.Initrd)
		}
		a = append(a, "-append", c.cmdline())
	}
	return a
}

func (c Config) vcpus() int { return max(c.VCPUs, 1) }

// machine is the board with everything switched off that no guest of ours uses.
func (c Config) machine() string {
	const both = ",memory-backend=ram,mem-merge=off,dump-guest-core=off,graphics=off,usb=off"
	if c.Board == Q35 {
		return "q35" + both + ",vmport=off,smm=off"
	}
	return "microvm" + both + ",acpi=on,pcie=off,isa-serial=on,x-option-roms=off,ioapic2=off,auto-kernel-cmdline=off"
}

// translations is the memory in MiB in which TCG keeps what it has translated. By default it is as much as an
// eighth of the host's memory, and a long-lived guest fills it.
const translations = 64

func (c Config) accel() string {
	if c.Accel == KVM {
		return "kvm"
	}
	threads := "multi"
	if c.vcpus() == 1 {
		threads = "single"
	}
	return fmt.Sprintf("tcg,thread=%s,tb-size=%d", threads, translations)
}

func (c Config) model() string {
	switch {
	case c.CPU != "":
		return c.CPU
	case c.Accel == KVM:
		return "host"
	default:
		return "max"
	}
}

func (c Config) ram(mem memory) string {
	o := map[string]any{"id": "ram", "size": c.Memory}
	if mem.file == "" {
		o["qom-type"] = "memory-backend-ram"
	} else {
		o["qom-type"], o["mem-path"], o["share"] = "memory-backend-file", mem.file, mem.share
	}
	return text(o)
}

// cmdline is the kernel's: what this machine asks of it, and the image's own.
func (c Config) cmdline() string {
	words := []string{"console=ttyS0", "quiet", "panic=-1", "reboot=t"}
	if c.Accel == TCG && c.TSC > 0 {
		words = append(words, fmt.Sprintf("tsc_early_khz=%d", c.TSC))
	}
	if c.Cmdline != "" {
		words = append(words, c.Cmdline)
	}
	return strings.Join(words, " ")
}

func (d Disk) blockdev() string {
	// Locks would be QEMU's own; whose disk it is, is known here. Some network file systems hang in them.
	file := map[string]any{"driver": "file", "filename": d.Path, "locking": "off"}
	o := map[string]any{"node-name": d.Name, "driver": "raw", "read-only": d.ReadOnly, "file": file}
	if d.Format != "" {
		o["driver"] = d.Format
	}
	if d.Scratch {
		o["cache"] = map[string]any{"no-flush": true}
		o["discard"], file["discard"] = "unmap", "unmap"
	}
	return text(o)
}

func (n Net) netdev() string {
	if n.User {
		return "user,id=net"
	}
	return fmt.Sprintf("dgram,id=net,local.type=fd,local.str=%d", fdNext)
}

func (n Net) device(b Board) []string {
	words := []string{"netdev=net"}
	if b == Q35 {
		words = append(words, "romfile=") // nobody boots from it
	}
	if n.MAC != "" {
		words = append(words, "mac="+n.MAC)
	}
	return words
}

// bus hands out the places of a board's devices.
type bus struct {
	board Board
	taken int
}

// slots is how many devices fit on a microvm.
const slots = 8

// device is the argument of -device. The order of places is that in which a guest finds its disks, so it is
// not left to QEMU. A microvm tells its guests of the last place first.
func (b *bus) device(kind string, options ...string) string {
	words := []string{kind + "-pci"}
	if b.board == Micro {
		b.taken++
		words = []string{kind + "-device", fmt.Sprintf("bus=virtio-mmio-bus.%d", slots-b.taken)}
	}
	return strings.Join(append(words, options...), ",")
}

// text is QEMU's JSON form of an option, in which a path may have any characters.
func text(o map[string]any) string {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // strings, numbers and booleans
	}
	return string(b)
}

var (
	plain  = regexp.MustCompile(`^[A-Za-z0-9]{1,20}$`)
	models = regexp.MustCompile(`^[A-Za-z0-9.,_+=-]*$`) // with flags: "max,-avx2"
)

// check finds what would make QEMU read an option otherwise than it is meant.
func (c Config) check() error {
	if c.Board != Micro && c.Board != Q35 {
		return fmt.Errorf("a machine's board %q is none that is known", c.Board)
	}
	if c.Accel != KVM && c.Accel != TCG {
		return fmt.Errorf("a machine's accelerator %q is none that is known", c.Accel)
	}
	if c.Memory < 1<<20 || c.Memory%(1<<20) != 0 {
		return fmt.Errorf("a machine's memory of %d bytes is no whole number of MiB", c.Memory)
	}
	if c.Board == Micro && c.Kernel == "" {
		return fmt.Errorf("a machine of the board %s needs a kernel", Micro)
	}
	seen := map[string]bool{}
	for _, d := range c.Disks {
		if seen[d.Name] {
			return fmt.Errorf("two disks are named %q", d.Name)
		}
		seen[d.Name] = true
		if !plain.MatchString(d.Name) {
			return fmt.Errorf("a disk's name %q is not made of at most 20 letters and digits", d.Name)
		}
		if !utf8.ValidString(d.Path) {
			return fmt.Errorf("QEMU cannot name the file %q, which is no UTF-8", d.Path)
		}
	}
	// The stream, random numbers and the network take a place each.
	if most := slots - 3; c.Board == Micro && len(c.Disks) > most {
		return fmt.Errorf("%d disks are more than the %d for which the board %s has room", len(c.Disks), most, Micro)
	}
	if c.Net.MAC != "" {
		if _, err := net.ParseMAC(c.Net.MAC); err != nil {
			return fmt.Errorf("the card's MAC: %w", err)
		}
	}
	if !models.MatchString(c.CPU) {
		return fmt.Errorf("a CPU model cannot be called %q", c.CPU)
	}
	return nil
}
