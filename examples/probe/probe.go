// Package probe holds the source of the programs that launches are measured
// with, so that muster can build them where it runs. The C files lie in a folder
// of their own because Go takes those beside its own for cgo.
package probe

import _ "embed"

// Source is probe: for Windows, kernel32 only, no C runtime.
//
//go:embed src/probe.c
var Source []byte

// PlainSource is probe-crt: for Windows and Linux, with the C runtime.
//
//go:embed src/probe-crt.c
var PlainSource []byte
