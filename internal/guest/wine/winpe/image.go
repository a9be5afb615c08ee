package winpe

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// image is a PE file that is being read. debug/pe gives the structures; its own
// reader is not used, as it refuses files with a strange symbol table, which
// Windows and Wine never look at, and knows nothing of delayed imports.
type image struct {
	r    io.ReaderAt
	size int64
	path string
	info Info

	dirs     []pe.DataDirectory
	sections []pe.SectionHeader32
	header   uint32 // bytes at the start that are mapped as they are
	entry    uint32

	functions int    // imported functions seen so far, all tables together
	names     []span // where the names in import tables stand
}

var errOutside = errors.New("its tables point outside the file")

const (
	dirImport  = 1
	dirDelay   = 13
	dirCLR     = 14
	wdmDriver  = 0x2000 // DLL characteristic
	sectorSize = 512
)

// headers reads everything up to the section table.
func (im *image) headers() error {
	if im.size == 0 {
		return unfit(im.path, KindNotPE, "empty, not a Windows program")
	}
	start := make([]byte, min(im.size, 64))
	if _, err := im.r.ReadAt(start, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(start) < 2 || string(start[:2]) != "MZ" {
		return unfit(im.path, KindNotPE, "%s", notMZ(start))
	}
	if len(start) < 64 {
		return unfit(im.path, KindDamaged, "damaged or truncated: it ends within its first header")
	}
	at := int64(binary.LittleEndian.Uint32(start[0x3C:]))
	magic := make([]byte, 4)
	if at < 4 || at+4 > im.size {
		return im.dosOrTruncated(at)
	}
	if _, err := im.r.ReadAt(magic, at); err != nil {
		return err
	}
	switch {
	case string(magic) == "PE\x00\x00":
	case string(magic[:2]) == "NE":
		return unfit(im.path, KindWin16, "a 16-bit Windows program, which a 64-bit Wine cannot run")
	case string(magic[:2]) == "LE", string(magic[:2]) == "LX":
		return unfit(im.path, KindSubsystem, "an OS/2 program or a driver of old Windows, not a Windows program")
	default:
		return unfit(im.path, KindDOS, "a DOS program, which Wine cannot run")
	}
	return im.peHeaders(at + 4)
}

// dosOrTruncated tells a DOS program, whose first header has no second one, from a
// file that ends before it.
func (im *image) dosOrTruncated(at int64) error {
	if at >= im.size && at < 4096 {
		return unfit(im.path, KindDamaged, "damaged or truncated: it ends at byte %d, before its PE header", im.size)
	}
	return unfit(im.path, KindDOS, "a DOS program, which Wine cannot run")
}

func notMZ(start []byte) string {
	switch {
	case bytes.HasPrefix(start, []byte("\x7fELF")):
		return "a Linux program, not a Windows program"
	case bytes.HasPrefix(start, []byte("#!")):
		return "a script, not a Windows program"
	case bytes.HasPrefix(start, []byte("PK\x03\x04")):
		return "a ZIP archive, not a Windows program"
	case bytes.HasPrefix(start, []byte("\xD0\xCF\x11\xE0")):
		return "an installer package or an Office file, not a Windows program"
	}
	return "not a Windows program (it does not begin with MZ)"
}

// peHeaders reads the COFF header at offset at and what follows it.
func (im *image) peHeaders(at int64) error {
	var fh pe.FileHeader
	if err := im.read(at, &fh); err != nil {
		return err
	}
	at += int64(binary.Size(fh))
	im.info.Machine = fh.Machine
	im.info.DLL = fh.Characteristics&pe.IMAGE_FILE_DLL != 0
	if fh.Characteristics&pe.IMAGE_FILE_EXECUTABLE_IMAGE == 0 {
		return unfit(im.path, KindNotPE, "an object file, not a Windows program")
	}
	var magic uint16
	if err := im.read(at, &magic); err != nil {
		return err
	}
	var count uint32
	var dirsAt int64
	var characteristics uint16
	switch magic {
	case 0x20B:
		var oh pe.OptionalHeader64
		const fixed = 112
		if err := im.readPart(at, fixed, &oh); err != nil {
			return err
		}
		im.info.Bits, im.info.Subsystem, characteristics = 64, oh.Subsystem, oh.DllCharacteristics
		im.header, im.entry, count, dirsAt = oh.SizeOfHeaders, oh.AddressOfEntryPoint, oh.NumberOfRvaAndSizes, at+fixed
	case 0x10B:
		var oh pe.OptionalHeader32
		const fixed = 96
		if err := im.readPart(at, fixed, &oh); err != nil {
			return err
		}
		im.info.Bits, im.info.Subsystem, characteristics = 32, oh.Subsystem, oh.DllCharacteristics
		im.header, im.entry, count, dirsAt = oh.SizeOfHeaders, oh.AddressOfEntryPoint, oh.NumberOfRvaAndSizes, at+fixed
	default:
		return unfit(im.path, KindDamaged, "damaged: its optional header has the unknown kind 0x%X", magic)
	}
	im.info.Driver = im.info.Subsystem == pe.IMAGE_SUBSYSTEM_NATIVE && characteristics&wdmDriver != 0
	im.dirs = make([]pe.DataDirectory, min(count, 16))
	if err := im.read(dirsAt, im.dirs); err != nil {
		return err
	}
	im.info.Net = im.dir(dirCLR).VirtualAddress != 0
	return im.sectionTable(at+int64(fh.SizeOfOptionalHeader), int(fh.NumberOfSections))
}

// sectionTable reads the section headers, and refuses a file that ends before its
// sections do, by Wine's own rule.
func (im *image) sectionTable(at int64, n int) error {
	im.sections = make([]pe.SectionHeader32, n) // n < 65536
	if err := im.read(at, im.sections); err != nil {
		return err
	}
	whole := (im.size + sectorSize - 1) &^ (sectorSize - 1)
	for _, s := range im.sections {
		if s.PointerToRawData == 0 || s.SizeOfRawData == 0 {
			continue
		}
		data := int64(s.SizeOfRawData)
		if s.VirtualSize != 0 {
			data = min(data, int64(s.VirtualSize))
		}
		start := int64(s.PointerToRawData) &^ (sectorSize - 1)
		if int64(s.PointerToRawData) >= im.size || start+data > whole {
			return unfit(im.path, KindDamaged, "truncated: it has %d bytes, but its section %s goes on to byte %d",
				im.size, sectionName(s), int64(s.PointerToRawData)+data)
		}
	}
	return nil
}

func sectionName(s pe.SectionHeader32) string {
	return fmt.Sprintf("%q", bytes.TrimRight(s.Name[:], "\x00"))
}

func (im *image) dir(n int) pe.DataDirectory {
	if n < len(im.dirs) {
		return im.dirs[n]
	}
	return pe.DataDirectory{}
}

// read reads a fixed-size value at a file offset.
func (im *image) read(at int64, v any) error {
	return im.readPart(at, int64(binary.Size(v)), v)
}

// readPart reads the first n bytes of a fixed-size value; the rest is zero.
func (im *image) readPart(at, n int64, v any) error {
	if at < 0 || at+n > im.size {
		return fmt.Errorf("it ends at byte %d: %w", im.size, io.ErrUnexpectedEOF)
	}
	b := make([]byte, binary.Size(v))
	if _, err := im.r.ReadAt(b[:n], at); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return binary.Read(bytes.NewReader(b), binary.LittleEndian, v)
}

// offset gives the place in the file of a byte in memory.
func (im *image) offset(rva uint32) (int64, bool) {
	for _, s := range im.sections {
		if rva >= s.VirtualAddress && uint64(rva) < uint64(s.VirtualAddress)+uint64(s.SizeOfRawData) {
			at := int64(s.PointerToRawData) + int64(rva-s.VirtualAddress)
			return at, at < im.size
		}
	}
	return int64(rva), rva < im.header && int64(rva) < im.size
}

// at reads a fixed-size value at an address in memory.
func (im *image) at(rva uint32, v any) error {
	off, ok := im.offset(rva)
	if !ok {
		return errOutside
	}
	return im.read(off, v)
}
