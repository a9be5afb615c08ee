package wine

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// answers are what a processor answers to cpuid: leaf, or leaf.sub.
type answers map[string][4]uint32

func (a answers) cpuid(leaf, sub uint32) (uint32, uint32, uint32, uint32) {
	r, ok := a[fmt.Sprintf("%x.%x", leaf, sub)]
	if !ok {
		r = a[fmt.Sprintf("%x", leaf)]
	}
	return r[0], r[1], r[2], r[3]
}

var (
	intel = [4]uint32{0xD, 0x756E6547, 0x6C65746E, 0x49656E69}
	amd   = [4]uint32{0xD, 0x68747541, 0x444D4163, 0x69746E65}
)

func TestProcessorFeatures(t *testing.T) {
	const all = 1<<32 - 1
	for name, c := range map[string]struct {
		cpu  answers
		want string // numbers of the features
		wide string // what is told of wide registers
	}{
		"none": {answers{}, "23", ""},
		"an early 64-bit one": {answers{
			"0": {2, intel[1], intel[2], intel[3]}, "1": {3: 1<<4 | 1<<6 | 1<<8 | 1<<23 | 1<<24 | 1<<25 | 1<<26, 2: 1},
			"80000000": {0x80000001}, "80000001": {3: 1 << 20},
		}, "2 3 6 8 9 10 11 12 13 23", ""},
		"everything, of Intel": {answers{
			"0": intel, "1": {2: all, 3: all}, "7": {1: 1 << 5}, "80000000": {0x80000008}, "80000001": {3: 1 << 20},
			"d.0": {0xFF, 11008}, "d.1": {0xF},
		}, "2 3 6 8 9 10 11 12 13 14 17 21 23 36 37 38 39 40",
			"3d8 07000000000000000700000000000000400300000300000000000000a0000000a0000000000100004002000000010000 600 002b0000a00000000001000000010000"},
		"everything, of AMD": {answers{
			"0": amd, "1": {2: all &^ (1 << 5), 3: all}, "7": {1: 1 << 5}, "80000000": {0x80000008}, "80000001": {2: 1 << 2, 3: 1<<20 | 1<<31},
			"d.0": {7, 832}, "d.1": {1},
		}, "2 3 6 7 8 9 10 11 12 13 14 17 21 23 36 37 38 39 40",
			"3d8 07000000000000000700000000000000400300000100000000000000a0000000a0000000000100004002000000010000 600 40030000a00000000001000000010000"},
		"AVX that the kernel has not switched on": {answers{"0": intel, "1": {2: 1 << 28}, "d.0": {7, 832}}, "23 39", ""},
		"leaves beyond the last": {answers{
			"0": {1, intel[1], intel[2], intel[3]}, "1": {2: 1<<27 | 1<<28}, "7": {1: 1 << 5}, "d.0": {7, 832}, "80000001": {3: 1 << 20},
		}, "17 23 39", ""},
	} {
		m := machine{cpuid: once(c.cpu.cpuid)}
		var have, wide []string
		for n, has := range processorFeatures(m) {
			if has == 1 {
				have = append(have, fmt.Sprint(n))
			}
		}
		for _, r := range wideRegisters(m) {
			wide = append(wide, fmt.Sprintf("%x %s", r.at, hex.EncodeToString(r.bytes)))
		}
		if got := strings.Join(have, " "); got != c.want {
			t.Errorf("%s: features %s, want %s", name, got, c.want)
		}
		if got, want := strings.Join(wide, " "), c.wide; got != want {
			t.Errorf("%s: wide registers %s, want %s", name, got, want)
		}
	}
}

func TestSharedPage(t *testing.T) {
	full := answers{"0": intel, "1": {2: 1<<27 | 1<<28}}
	records := sharedPage(machine{cpuid: full.cpuid, pages: 1 << 20})
	page, end := make([]byte, 0x1000), 0
	for _, r := range records {
		if int(r.at) < end || len(r.bytes) == 0 {
			t.Errorf("%x: %d bytes, after %x", r.at, len(r.bytes), end)
		}
		end = int(r.at) + copy(page[r.at:], r.bytes)
	}
	for at, want := range map[int]string{
		pageTickMultiplier: "00000001", pageSystemRoot: "43003a005c00770069006e0064006f0077007300" + "0000", pageLargePage: "00002000",
		pageProductValid: "01000900", pagePhysicalPages: "ffff0f00", pageProcessorGroups: "01000000", pageNoExecute: "02",
		pageBuild: "00000000", // the holder's
	} {
		if got := hex.EncodeToString(page[at : at+len(want)/2]); got != want {
			t.Errorf("%x: %s, want %s", at, got, want)
		}
	}
	if n := len(holderInput(records)); n > pageInput {
		t.Errorf("%d bytes, and the holder reads %d", n, pageInput)
	}
	if got := hex.EncodeToString(holderInput([]record{{0x2D5, []byte{2}}})); got != "d5020100"+"02"+"00000000" {
		t.Errorf("a record is %s", got)
	}
}

func TestComputerNames(t *testing.T) {
	for host, want := range map[string][3]string{
		"n1":                        {"N1", "n1", ""},
		"n1.cluster.example":        {"N1", "n1", "cluster.example"},
		"a-name-that-is-quite-long": {"A-NAME-THAT-IS-", "a-name-that-is-quite-long", ""},
		`a"b`:                       {`A\"B`, `a\"b`, ""},
	} {
		got := registryText(computerNames(host))
		for _, line := range []string{
			"[System\\\\CurrentControlSet\\\\Control\\\\ComputerName\\\\ActiveComputerName]\n\"ComputerName\"=\"" + want[0] + "\"\n",
			"\"Hostname\"=\"" + want[1] + "\"\n", "\"Domain\"=\"" + want[2] + "\"\n",
		} {
			if !strings.Contains(got, line) {
				t.Errorf("%s: no %q in %q", host, line, got)
			}
		}
	}
}
