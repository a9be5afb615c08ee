package winpe

import "slices"

// narrow are the functions by which a C runtime, or the program itself, takes its
// command line in the ANSI code page: main, as opposed to wmain.
var narrow = []string{
	"__getmainargs",                  // msvcrt
	"_configure_narrow_argv",         // ucrt
	"_initialize_narrow_environment", // ucrt
	"GetCommandLineA",                // a runtime that is linked in
}

// Narrow reports whether the program is likely to take its arguments in the ANSI
// code page, and so cannot name files outside of it. Programs that could do
// either count as narrow.
func (i Info) Narrow() bool {
	if i.Net || i.Script || i.Go != "" {
		return false
	}
	for _, dll := range i.Imports {
		for _, f := range narrow {
			if slices.Contains(dll.Functions, f) {
				return true
			}
		}
	}
	return false
}
