package wine

import (
	"encoding/binary"
	"fmt"
	"os"
	"unicode/utf16"

	"golang.org/x/sys/unix"
)

// Windows shares a page with all programs (KUSER_SHARED_DATA, at 0x7ffe0000): what IsProcessorFeaturePresent and others tell is read
// there. The server makes it, and keeps the time in it; the rest is for wineboot, which lean servers do without. There the
// holder writes it, as wineboot of Wine 8.0 does. It is told by muster what is the node's, and asks Wine itself which
// Windows this is and how many processors there are.

// Where things are in the page.
const (
	pageTickMultiplier  = 0x004
	pageSystemRoot      = 0x030
	pageLargePage       = 0x244
	pageBuild           = 0x260
	pageProductType     = 0x264
	pageProductValid    = 0x268
	pageArchitecture    = 0x26A
	pageMajor           = 0x26C
	pageMinor           = 0x270
	pageFeatures        = 0x274
	pageSuite           = 0x2D0
	pageNoExecute       = 0x2D5
	pagePhysicalPages   = 0x2E8
	pageProcessors      = 0x3C0
	pageProcessorGroups = 0x3C4
	pageWide            = 0x3D8 // XSTATE_CONFIGURATION
	pageWideAll         = pageWide + 0x228
)

// machine is what page and registry tell of a node.
type machine struct {
	cpuid      func(leaf, sub uint32) (eax, ebx, ecx, edx uint32)
	pages      uint64 // of physical memory
	processors int
}

// thisMachine is the node that this runs on.
func thisMachine() (machine, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return machine{}, fmt.Errorf("asking how much memory there is: %w", err)
	}
	return machine{cpuid: once(cpuid), pages: uint64(info.Totalram) * uint64(info.Unit) / 4096, processors: onlineProcessors()}, nil
}

// once asks each question once: the answer can take a virtual machine long.
func once(ask func(leaf, sub uint32) (eax, ebx, ecx, edx uint32)) func(leaf, sub uint32) (eax, ebx, ecx, edx uint32) {
	known := map[[2]uint32][4]uint32{}
	return func(leaf, sub uint32) (eax, ebx, ecx, edx uint32) {
		question := [2]uint32{leaf, sub}
		r, ok := known[question]
		if !ok {
			r[0], r[1], r[2], r[3] = ask(leaf, sub)
			known[question] = r
		}
		return r[0], r[1], r[2], r[3]
	}
}

// record is a part of the page.
type record struct {
	at    uint16
	bytes []byte
}

// sharedPage is what a node's page has to hold besides what the holder finds out itself.
func sharedPage(m machine) []record {
	const amd64, optIn = 9, 2
	out := []record{
		{pageTickMultiplier, fields(uint32(1 << 24))},
		{pageSystemRoot, fields(utf16.Encode([]rune(`C:\windows`)))},
		{pageLargePage, fields(uint32(2 << 20))},
		{pageProductValid, fields(true)},
		{pageArchitecture, fields(uint16(amd64))},
		{pageFeatures, processorFeatures(m)},
		{pageNoExecute, fields(uint8(optIn))},
		{pagePhysicalPages, fields(uint32(max(m.pages, 2) - 1))}, // Wine has them begin with number 1
		{pageProcessorGroups, fields(uint32(1))},
	}
	return append(out, wideRegisters(m)...)
}

// bit is a bit of what cpuid answers.
type bit struct {
	leaf     uint32
	register int // of eax, ebx, ecx, edx
	n        int
}

// features are Windows' numbers of features (PF_…) that Wine tells of, and how a processor tells of them.
var features = map[int]bit{
	2:  {1, 3, 8},           // cmpxchg8b
	3:  {1, 3, 23},          // MMX
	6:  {1, 3, 25},          // SSE
	7:  {0x80000001, 3, 31}, // 3DNow!, only AMD's
	8:  {1, 3, 4},           // rdtsc
	9:  {1, 3, 6},           // PAE
	10: {1, 3, 26},          // SSE2
	11: {1, 3, 26},          // denormals are zeros: all 64-bit processors with SSE2
	12: {0x80000001, 3, 20}, // no-execute
	13: {1, 2, 0},           // SSE3
	14: {1, 2, 13},          // cmpxchg16b
	17: {1, 2, 27},          // xsave, switched on by the kernel
	21: {1, 2, 5},           // virtualization: Intel's bit, see below for AMD's
	36: {1, 2, 9},           // SSSE3
	37: {1, 2, 19},          // SSE4.1
	38: {1, 2, 20},          // SSE4.2
	39: {1, 2, 28},          // AVX
	40: {7, 1, 5},           // AVX2
}

const (
	featureVirtual  = 21
	featureFastFail = 23 // Wine's own: always there
	featureAVX      = 39
	featureXSave    = 17
)

var amdVirtual = bit{0x80000001, 2, 2}

// processorFeatures is a byte for each feature.
func processorFeatures(m machine) []byte {
	out := make([]byte, 64)
	for number, b := range features {
		out[number] = m.has(b)
	}
	if m.amd() {
		out[featureVirtual] = m.has(amdVirtual)
	}
	out[featureFastFail] = 1
	return out
}

// has is 1 when the processor has what b stands for.
func (m machine) has(b bit) byte {
	if last, _, _, _ := m.cpuid(b.leaf&0x80000000, 0); last < b.leaf {
		return 0
	}
	var r [4]uint32
	r[0], r[1], r[2], r[3] = m.cpuid(b.leaf, 0)
	return byte(r[b.register] >> b.n & 1)
}

// wideRegisters tells how the registers of AVX are kept: nothing where there are none. Wine knows no wider ones.
func wideRegisters(m machine) []record {
	if last, _, _, _ := m.cpuid(0, 0); last < 0xD || m.has(features[featureAVX]) == 0 || m.has(features[featureXSave]) == 0 {
		return nil
	}
	const legacy, sse, avx = 0xA0, 0x100, 0x100                  // sizes
	const enabled, size, avxAt = uint64(7), uint32(0x340), 0x240 // x87, SSE and AVX; where AVX's are
	_, all, _, _ := m.cpuid(0xD, 0)
	how, _, _, _ := m.cpuid(0xD, 1) // optimized, compact
	return []record{
		{pageWide, fields(enabled, enabled, size, how&3, []uint32{0, legacy, legacy, sse, avxAt, avx})},
		{pageWideAll, fields(all, []uint32{legacy, sse, avx})},
	}
}

// fields is values in a row, as they are in memory.
func fields(values ...any) []byte {
	var out []byte
	for _, v := range values {
		out, _ = binary.Append(out, binary.LittleEndian, v) // of fixed sizes: cannot fail
	}
	return out
}

// pageInput is how much the holder reads.
const pageInput = 512

// holderInput is records as the holder reads them: offset, length, bytes; the last one has no length.
func holderInput(records []record) []byte {
	var out []byte
	for _, r := range records {
		out = append(out, fields(r.at, uint16(len(r.bytes)), r.bytes)...)
	}
	return append(out, fields(uint16(0), uint16(0))...)
}

// pageForHolder is what a lean server's holder gets on its standard input. Whoever asks closes it.
func pageForHolder() (*os.File, error) {
	m, err := thisMachine()
	if err != nil {
		return nil, err
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making the holder's input: %w", err)
	}
	_, err = theirs.Write(holderInput(sharedPage(m))) // a pipe takes that at once
	theirs.Close()
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("writing the holder's input: %w", err)
	}
	return ours, nil
}
