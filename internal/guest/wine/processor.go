package wine

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"k8s.io/utils/cpuset"
)

// At each boot wineboot writes what the processors are into the registry, from where programs get them as environment variables.
// Lean servers do without wineboot, so their clones are told by muster, as wineboot of Wine 8.0 tells it.

// environmentKey is where the registry has the variables that all programs get.
const environmentKey = `System\\CurrentControlSet\\Control\\Session Manager\\Environment`

// processorValues is what the registry says of a node's processors. Of others than x86's nothing but their number is known.
func processorValues(m machine) []value {
	values := []value{{environmentKey, "NUMBER_OF_PROCESSORS", fmt.Sprint(m.processors)}}
	last, _, _, _ := m.cpuid(0, 0)
	if last < 1 {
		return values
	}
	signature, _, _, _ := m.cpuid(1, 0)
	kind := "Intel64"
	if m.amd() {
		kind = "AMD64"
	}
	family, model, stepping := identity(signature)
	level, revision := m.version(signature)
	return append(values,
		value{environmentKey, "PROCESSOR_IDENTIFIER", fmt.Sprintf("%s Family %d Model %d Stepping %d, %s", kind, family, model, stepping, m.vendor())},
		value{environmentKey, "PROCESSOR_LEVEL", fmt.Sprint(level)},
		value{environmentKey, "PROCESSOR_REVISION", fmt.Sprintf("%04x", revision)},
	)
}

// identity takes a processor's signature apart as its makers do.
func identity(signature uint32) (family, model, stepping uint32) {
	family, model, stepping = signature>>8&0xF, signature>>4&0xF, signature&0xF
	if family == 6 || family == 15 {
		model |= signature >> 16 & 0xF << 4
	}
	if family == 15 {
		family += signature >> 20 & 0xFF
	}
	return family, model, stepping
}

// version takes a signature apart as GetSystemInfo does in Wine.
func (m machine) version(signature uint32) (level, revision uint32) {
	level, revision = signature>>8&0xF, signature>>4&0xF<<8|signature&0xF
	switch {
	case m.amd():
		if level == 15 {
			level += signature >> 20 & 0xFF
		}
	case m.intel():
		if level += signature >> 20 & 0xFF; level == 15 {
			level = 6 // of a Pentium 4, too
		}
	default:
		return level, revision
	}
	return level, revision | signature>>16&0xF<<12
}

func (m machine) amd() bool   { return m.vendor() == "AuthenticAMD" }
func (m machine) intel() bool { return m.vendor() == "GenuineIntel" }

// vendor is the maker's name, as the processor tells it.
func (m machine) vendor() string {
	_, b, c, d := m.cpuid(0, 0)
	return strings.TrimRight(string(fields([]uint32{b, d, c})), "\x00")
}

// onlineProcessors is how many processors the machine has, whichever of them this process may use: so Wine counts them.
func onlineProcessors() int {
	if list, err := os.ReadFile("/sys/devices/system/cpu/online"); err == nil {
		if set, err := cpuset.Parse(strings.TrimSpace(string(list))); err == nil && !set.IsEmpty() {
			return set.Size()
		}
	}
	return runtime.NumCPU()
}
