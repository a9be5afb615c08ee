package winpe_test

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf16"

	"muster/internal/guest/wine/winpe"
)

// file describes a PE file that a test makes.
type file struct {
	machine         uint16 // 0: x86-64
	subsystem       uint16 // 0: console
	fileFlags       uint16 // besides "executable"
	characteristics uint16
	imports         []winpe.Import
	delayed         []winpe.Import
	net             bool
	section         string // name; "": .text
	sectionFlags    uint32 // 0: readable
	data            []byte // further data of the section
	bits32          bool
}

const (
	sectionAt  = 0x1000 // in memory
	sectionRaw = 0x400  // in the file
)

// make lays the file out: headers, and one section that holds the rest.
func (f file) make() []byte {
	var sec bytes.Buffer
	here := func() uint32 { return sectionAt + uint32(sec.Len()) }
	le := func(v ...any) {
		for _, x := range v {
			if err := binary.Write(&sec, binary.LittleEndian, x); err != nil {
				panic(err)
			}
		}
	}
	sec.Write(f.data)
	align := func() {
		for sec.Len()%8 != 0 {
			sec.WriteByte(0)
		}
	}
	align()
	text := func(s string) uint32 {
		at := here()
		sec.WriteString(s + "\x00")
		return at
	}
	// table writes the names and the lookup table of one import.
	table := func(i winpe.Import) (name, lookup uint32) {
		name = text(i.DLL)
		var thunks []uint64
		for _, fn := range i.Functions {
			if n, ok := strings.CutPrefix(fn, "#"); ok {
				ordinal, err := strconv.Atoi(n)
				if err != nil {
					panic(err)
				}
				thunks = append(thunks, 1<<63|uint64(ordinal))
				continue
			}
			thunks = append(thunks, uint64(here()))
			le(uint16(0))
			text(fn)
		}
		align()
		lookup = here()
		for _, t := range append(thunks, 0) {
			if f.bits32 {
				le(uint32(t&0x7FFFFFFF) | uint32(t>>32&0x80000000))
			} else {
				le(t)
			}
		}
		return name, lookup
	}
	var imports, delayed []uint32
	for _, i := range f.imports {
		name, lookup := table(i)
		imports = append(imports, lookup, 0, 0, name, lookup)
	}
	for _, i := range f.delayed {
		name, lookup := table(i)
		delayed = append(delayed, 1, name, 0, lookup, lookup, 0, 0, 0)
	}
	var dirs [16]pe.DataDirectory
	if len(imports) > 0 {
		dirs[1].VirtualAddress = here()
		le(imports, [5]uint32{})
	}
	if len(delayed) > 0 {
		dirs[13].VirtualAddress = here()
		le(delayed, [8]uint32{})
	}
	if f.net {
		dirs[14].VirtualAddress = here()
		le([18]uint32{72})
	}
	for sec.Len()%512 != 0 || sec.Len() == 0 {
		sec.WriteByte(0)
	}

	or := func(v, other uint16) uint16 {
		if v == 0 {
			return other
		}
		return v
	}
	machine, size := or(f.machine, pe.IMAGE_FILE_MACHINE_AMD64), 240
	if f.bits32 {
		machine, size = pe.IMAGE_FILE_MACHINE_I386, 224
	}
	var b bytes.Buffer
	put := func(v any) {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	b.WriteString("MZ")
	b.Write(make([]byte, 58))
	put(uint32(64))
	b.WriteString("PE\x00\x00")
	put(pe.FileHeader{Machine: machine, NumberOfSections: 1, SizeOfOptionalHeader: uint16(size), Characteristics: pe.IMAGE_FILE_EXECUTABLE_IMAGE | f.fileFlags})
	subsystem := or(f.subsystem, pe.IMAGE_SUBSYSTEM_WINDOWS_CUI)
	if f.bits32 {
		put(pe.OptionalHeader32{Magic: 0x10B, AddressOfEntryPoint: sectionAt, SizeOfHeaders: sectionRaw, Subsystem: subsystem, DllCharacteristics: f.characteristics, NumberOfRvaAndSizes: 16, DataDirectory: dirs})
	} else {
		put(pe.OptionalHeader64{Magic: 0x20B, AddressOfEntryPoint: sectionAt, SizeOfHeaders: sectionRaw, Subsystem: subsystem, DllCharacteristics: f.characteristics, NumberOfRvaAndSizes: 16, DataDirectory: dirs})
	}
	s := pe.SectionHeader32{VirtualAddress: sectionAt, VirtualSize: uint32(sec.Len()), PointerToRawData: sectionRaw, SizeOfRawData: uint32(sec.Len()), Characteristics: pe.IMAGE_SCN_MEM_READ | f.sectionFlags}
	copy(s.Name[:], f.section)
	if f.section == "" {
		copy(s.Name[:], ".text")
	}
	put(s)
	b.Write(make([]byte, sectionRaw-b.Len()))
	b.Write(sec.Bytes())
	return b.Bytes()
}

func parse(f file, name string) (winpe.Info, error) { return parseBytes(f.make(), name) }

func parseBytes(b []byte, name string) (winpe.Info, error) {
	return winpe.Parse(bytes.NewReader(b), int64(len(b)), name)
}

// wide is a text as UTF-16.
func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func imp(dll string, functions ...string) winpe.Import {
	return winpe.Import{DLL: dll, Functions: functions}
}
