package winpe

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Bounds on what is read of a file, far above what real programs have.
const (
	maxDLLs      = 2048
	maxFunctions = 1 << 17
	maxName      = 512
)

// imports reads the import table.
func (im *image) imports() ([]Import, error) {
	dir := im.dir(dirImport)
	if dir.VirtualAddress == 0 {
		return nil, nil
	}
	var list []Import
	for rva := dir.VirtualAddress; ; rva += 20 {
		var d struct{ Lookup, Time, Forwarder, Name, Addresses uint32 }
		if err := im.at(rva, &d); err != nil {
			return nil, fmt.Errorf("the import table: %w", err)
		}
		if d.Name == 0 || d.Addresses == 0 {
			return list, nil
		}
		lookup := d.Lookup
		if lookup == 0 {
			lookup = d.Addresses
		}
		i, err := im.oneImport(d.Name, lookup)
		if err != nil {
			return nil, fmt.Errorf("the import table: %w", err)
		}
		if list = append(list, i); len(list) > maxDLLs {
			return nil, unfit(im.path, KindDamaged, "damaged: it imports from more than %d DLLs", maxDLLs)
		}
	}
}

// delayed reads the table of delayed imports. Old linkers wrote addresses instead
// of offsets there; such a table is passed over.
func (im *image) delayed() ([]Import, error) {
	dir := im.dir(dirDelay)
	if dir.VirtualAddress == 0 {
		return nil, nil
	}
	var list []Import
	for rva := dir.VirtualAddress; ; rva += 32 {
		var d struct{ Attributes, Name, Module, Addresses, Lookup, Bound, Unload, Time uint32 }
		if err := im.at(rva, &d); err != nil {
			return nil, fmt.Errorf("the table of delayed imports: %w", err)
		}
		if d.Name == 0 {
			return list, nil
		}
		if d.Attributes&1 == 0 {
			return list, nil
		}
		i, err := im.oneImport(d.Name, d.Lookup)
		if err != nil {
			return nil, fmt.Errorf("the table of delayed imports: %w", err)
		}
		if list = append(list, i); len(list) > maxDLLs {
			return nil, unfit(im.path, KindDamaged, "damaged: it imports from more than %d DLLs", maxDLLs)
		}
	}
}

// oneImport reads one DLL of an import table, with its functions.
func (im *image) oneImport(name, lookup uint32) (Import, error) {
	dll, err := im.name(name)
	if err != nil {
		return Import{}, err
	}
	if dll == "" || strings.ContainsFunc(dll, func(r rune) bool { return r < 0x20 || r == 0x7F }) {
		return Import{}, unfit(im.path, KindDamaged, "damaged: it imports from a DLL without a proper name (%q)", dll)
	}
	i := Import{DLL: dll}
	step := uint32(im.info.Bits / 8)
	for rva := lookup; lookup != 0; rva += step {
		thunk, err := im.thunk(rva)
		if err != nil {
			return Import{}, err
		}
		if thunk == 0 {
			break
		}
		if im.functions++; im.functions > maxFunctions {
			return Import{}, unfit(im.path, KindDamaged, "damaged: it imports more than %d functions", maxFunctions)
		}
		if thunk>>63 == 1 {
			i.Functions = append(i.Functions, fmt.Sprintf("#%d", thunk&0xFFFF))
			continue
		}
		if thunk > math.MaxUint32-2 {
			return Import{}, errOutside
		}
		fn, err := im.name(uint32(thunk) + 2)
		if err != nil {
			return Import{}, err
		}
		i.Functions = append(i.Functions, strings.ToValidUTF8(fn, "?"))
	}
	return i, nil
}

// thunk reads one entry of a lookup table; the ordinal flag is in bit 63 for both kinds.
func (im *image) thunk(rva uint32) (uint64, error) {
	if im.info.Bits == 64 {
		var t uint64
		err := im.at(rva, &t)
		return t, err
	}
	var t uint32
	err := im.at(rva, &t)
	return uint64(t&0x7FFFFFFF) | uint64(t>>31)<<63, err
}

// name reads a NUL-terminated name, and remembers where it stands.
func (im *image) name(rva uint32) (string, error) {
	off, ok := im.offset(rva)
	if !ok {
		return "", errOutside
	}
	b := make([]byte, min(maxName, im.size-off))
	n, err := im.r.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	end := bytes.IndexByte(b[:n], 0)
	if end < 0 {
		return "", unfit(im.path, KindDamaged, "damaged: a name in its import table has no end")
	}
	im.names = append(im.names, span{off, off + int64(end)})
	return string(b[:end]), nil
}

// span is a range of bytes of the file, the end excluded.
type span struct{ start, end int64 }

// sortNames prepares the names for inNames, once all tables have been read.
func (im *image) sortNames() {
	slices.SortFunc(im.names, func(a, b span) int { return cmp.Compare(a.start, b.start) })
}

// inNames reports whether the byte at a file offset belongs to a name in an import
// table.
func (im *image) inNames(off int64) bool {
	i, found := slices.BinarySearchFunc(im.names, off, func(s span, off int64) int { return cmp.Compare(s.start, off) })
	return found || i > 0 && off < im.names[i-1].end
}
