// Package wincompat holds the suite that shows that nothing muster saves changes what a Windows
// program computes. Its programs (testdata/src) are ordinary C, print what they find, a line
// "name = value" each, and are run in every mode that muster has. What they have to print is
// stored in testdata/*.golden.
//
// The stored values come from plain Wine, never from muster: an untouched prefix as wineboot
// makes it, booted in full, `wine program.exe` as an ordinary user. After a change of the
// programs or another Wine:
//
//	go test ./internal/guest/wine/wincompat -update
//
// What Wine itself answers differently from run to run or from machine to machine, the programs
// leave out.
package wincompat
