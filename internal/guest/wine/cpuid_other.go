//go:build !amd64

package wine

// cpuid is x86's alone: of other processors nothing is told.
func cpuid(leaf, sub uint32) (eax, ebx, ecx, edx uint32) { return 0, 0, 0, 0 }
