package winpe

import (
	"debug/pe"
	"fmt"
	"path/filepath"
)

// Boot is how much of Windows is brought up for a program.
type Boot string

const (
	// Lean is the Wine server alone: no services, no drivers, no drive manager.
	Lean Boot = "lean"
	// Full is what an ordinary start of Wine brings up.
	Full Boot = "full"
)

// Decide chooses the boot for a program, given the libraries beside it that it
// loads (Resolution.Beside), and says why in a few words that follow "boot lean: " or
// "boot full: ".
//
// A lean boot must never change a result silently, so lean is only for console
// programs of which everything is known: every function that the program or a library
// beside it imports, at once or delayed, is on a list of those that were seen to do the
// same in a lean and in a full boot, and no text in them hints at another DLL
// that they load while they run. Everything else is full: windows, COM, services, network,
// devices, sound, printing, accounts; programs that start others, which may need anything;
// packed programs and .NET, whose needs cannot be seen.
//
// Single functions count, not DLLs: a 7-Zip that takes CharUpperW from user32 and
// SysAllocString from oleaut32 makes neither windows nor COM objects. A mingw or MSVC
// program that brings its C runtime along is lean; that runtime's own names for a message
// box are left out of account.
//
// What cannot be seen: a DLL whose name is put together at run time, and names in
// data files.
func Decide(program Info, beside ...Info) (Boot, string) {
	switch {
	case program.Script:
		return Full, "a batch file, which may start anything"
	case program.Net:
		return Full, "a .NET program, whose needs cannot be seen"
	case program.GUI():
		return Full, "a program with windows"
	case program.Subsystem != pe.IMAGE_SUBSYSTEM_WINDOWS_CUI:
		return Full, "a " + subsystemName(program.Subsystem)
	}
	local := map[string]bool{}
	for _, lib := range beside {
		local[normal(filepath.Base(lib.Path))] = true
	}
	if why := wants(program, local); why != "" {
		return Full, why
	}
	for _, lib := range beside {
		if why := wants(lib, local); why != "" {
			return Full, filepath.Base(lib.Path) + " beside it " + why
		}
	}
	return Lean, "a console program without services, COM or windows"
}

// wants says what in a file asks for a full boot, or "". Imports from DLLs that
// are beside the program are left to those.
func wants(i Info, local map[string]bool) string {
	if i.Packed {
		return "is packed, so that its needs cannot be seen"
	}
	if i.Net {
		return "is .NET, so that its needs cannot be seen"
	}
	for _, list := range [][]Import{i.Imports, i.Delayed} {
		for _, imp := range list {
			if local[normal(imp.DLL)] {
				continue
			}
			functions := imp.Functions
			if len(functions) == 0 {
				functions = []string{""} // the DLL is loaded all the same
			}
			for _, fn := range functions {
				if why := need(imp.DLL, fn); why != "" {
					return importWords(imp.DLL, fn, why)
				}
			}
		}
	}
	for _, h := range i.Hints {
		if h == tooLarge {
			return "is " + h.Why
		}
		if !local[normal(h.Text)] {
			return fmt.Sprintf("holds the text %q (%s)", h.Text, h.Why)
		}
	}
	return ""
}

// importWords describes an import: "imports CoCreateInstance from ole32.dll (COM)".
func importWords(dll, function, why string) string {
	switch {
	case function == "":
		return fmt.Sprintf("imports %s (%s)", dll, why)
	case function[0] == '#':
		return fmt.Sprintf("imports function %s from %s (%s)", function, dll, why)
	}
	return fmt.Sprintf("imports %s from %s (%s)", oneWord(function), oneWord(dll), why)
}
