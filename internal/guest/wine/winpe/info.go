// Package winpe says what a Windows program is from the bytes of its file, before
// anything is started: its machine, its subsystem, the DLLs that it needs and
// whether they are there (Resolve), and how much of Windows has to be up for it
// (Decide). It never runs anything.
//
// A file may be hostile: what is read is bounded, nothing panics, and every refusal is
// one line for a person.
package winpe

import (
	"debug/pe"
	"fmt"
	"path/filepath"
)

// Info is what a program's or a library's file says of itself.
type Info struct {
	Path string // as given to Read
	Size int64  // bytes of the file

	// Script is a .bat or .cmd, known by its name; nothing of the rest is set then.
	Script bool

	Machine   uint16 // debug/pe's IMAGE_FILE_MACHINE_…
	Bits      int    // 32 or 64
	Subsystem uint16 // debug/pe's IMAGE_SUBSYSTEM_…
	DLL       bool
	Net       bool // a .NET assembly (it has a CLR header)
	Driver    bool // made for the kernel
	Packed    bool // compressed or protected: its true imports and texts cannot be seen

	Imports []Import // what the loader needs before the program starts
	Delayed []Import // what is loaded when it is first used

	// Loads are DLLs that no table names but that the program is known to load
	// when it starts, and to end without.
	Loads []Load

	Go    string // version of the Go compiler that made it, "" for other programs
	Hints []Hint // what its texts say of DLLs and names that it may look up while it runs
}

// Import is a DLL in an import table.
type Import struct {
	DLL       string   // as written: "KERNEL32.dll"
	Functions []string // names, or "#12" for ordinals
}

// Load is a DLL that a program loads by name.
type Load struct {
	DLL string
	Why string // "by Go's runtime, since Go 1.22"
}

// Hint is a text in a program's data that suggests what the program may do.
type Hint struct {
	Text string // what was found, lower case: "ole32.dll"
	Why  string // what it is for: "COM"
}

// Kind names why a file is refused.
type Kind string

const (
	KindNotPE     Kind = "not-pe"
	KindDOS       Kind = "dos"
	KindWin16     Kind = "win16"
	KindDamaged   Kind = "damaged"
	KindDLL       Kind = "dll"
	KindDriver    Kind = "driver"
	KindCPU       Kind = "cpu"
	KindSubsystem Kind = "subsystem"
	KindNoFile    Kind = "unreadable" // a folder, a device
)

// Unfit is the error for a file that no Wine can run.
type Unfit struct {
	File string // base name
	Kind Kind
	Why  string // the rest of the line
}

func (e *Unfit) Error() string { return e.File + ": " + e.Why }

// unfit is never a typed nil in an error: it always returns an error.
func unfit(path string, kind Kind, format string, args ...any) error {
	return &Unfit{File: filepath.Base(path), Kind: kind, Why: fmt.Sprintf(format, args...)}
}

// Runnable reports, as an *Unfit, why the file is no program that a Wine for x86 runs;
// nil when it is one. A 32-bit program is runnable: whether this Wine has a
// 32-bit half is not known here.
func (i Info) Runnable() error {
	if i.Script {
		return nil
	}
	switch {
	case !x86(i.Machine):
		return unfit(i.Path, KindCPU, "made for %s; Wine here runs programs for x86-64", machineName(i.Machine))
	case i.Driver:
		return unfit(i.Path, KindDriver, "a driver for the Windows kernel, not a program")
	case i.DLL:
		return unfit(i.Path, KindDLL, "a DLL, not a program")
	}
	switch i.Subsystem {
	case pe.IMAGE_SUBSYSTEM_WINDOWS_CUI, pe.IMAGE_SUBSYSTEM_WINDOWS_GUI, pe.IMAGE_SUBSYSTEM_NATIVE:
		return nil
	}
	return unfit(i.Path, KindSubsystem, "%s, not a Windows program", subsystemName(i.Subsystem))
}

// GUI reports whether the program is made for windows rather than for a console.
func (i Info) GUI() bool { return i.Subsystem == pe.IMAGE_SUBSYSTEM_WINDOWS_GUI }

// String describes the file in a few words: "64-bit console program".
func (i Info) String() string {
	if i.Script {
		return "batch file"
	}
	what := subsystemName(i.Subsystem)
	switch {
	case i.Driver:
		what = "driver"
	case i.DLL:
		what = "DLL"
	}
	s := fmt.Sprintf("%d-bit %s", i.Bits, what)
	if i.Net {
		s += " (.NET)"
	}
	if !x86(i.Machine) {
		s += " for " + machineName(i.Machine)
	}
	return s
}

// x86 reports whether a machine is one of the two kinds of x86.
func x86(machine uint16) bool {
	return machine == pe.IMAGE_FILE_MACHINE_AMD64 || machine == pe.IMAGE_FILE_MACHINE_I386
}

func machineName(m uint16) string {
	switch m {
	case pe.IMAGE_FILE_MACHINE_AMD64:
		return "x86-64"
	case pe.IMAGE_FILE_MACHINE_I386:
		return "x86"
	case pe.IMAGE_FILE_MACHINE_ARM64, 0xA641, 0xA64E: // ARM64EC, ARM64X
		return "ARM64"
	case pe.IMAGE_FILE_MACHINE_ARM, pe.IMAGE_FILE_MACHINE_ARMNT, pe.IMAGE_FILE_MACHINE_THUMB:
		return "ARM"
	case pe.IMAGE_FILE_MACHINE_IA64:
		return "Itanium"
	}
	return fmt.Sprintf("another processor (machine 0x%04X)", m)
}

func subsystemName(s uint16) string {
	switch s {
	case pe.IMAGE_SUBSYSTEM_WINDOWS_CUI:
		return "console program"
	case pe.IMAGE_SUBSYSTEM_WINDOWS_GUI:
		return "program with windows"
	case pe.IMAGE_SUBSYSTEM_NATIVE:
		return "native program"
	case pe.IMAGE_SUBSYSTEM_WINDOWS_CE_GUI:
		return "Windows CE program"
	case pe.IMAGE_SUBSYSTEM_POSIX_CUI:
		return "POSIX-subsystem program"
	case pe.IMAGE_SUBSYSTEM_OS2_CUI:
		return "OS/2 program"
	case pe.IMAGE_SUBSYSTEM_EFI_APPLICATION, pe.IMAGE_SUBSYSTEM_EFI_BOOT_SERVICE_DRIVER, pe.IMAGE_SUBSYSTEM_EFI_RUNTIME_DRIVER, pe.IMAGE_SUBSYSTEM_EFI_ROM:
		return "EFI program"
	case pe.IMAGE_SUBSYSTEM_XBOX:
		return "Xbox program"
	}
	return fmt.Sprintf("program of subsystem %d", s)
}
