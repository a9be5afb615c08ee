package vmimage

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// cloud-init finds its data on a volume with the label cidata. The smallest that every kernel can
// mount is an ISO 9660 image with one folder: five sectors of description and the files. A library for it would bring
// in a dozen others.

const isoSector = 2048

// isoFile is a file of an ISO image; the kernel shows the name in lower case.
type isoFile struct {
	name    string
	content []byte
}

// writeISO writes an image with the files, in one folder.
func writeISO(w io.Writer, label string, files []isoFile) error {
	const rootAt, filesAt = 20, 21
	var folder []byte
	folder = append(folder, isoRecord("\x00", rootAt, isoSector, true)...)
	folder = append(folder, isoRecord("\x01", rootAt, isoSector, true)...)
	at := filesAt
	for _, f := range files {
		folder = append(folder, isoRecord(strings.ToUpper(f.name)+";1", at, len(f.content), false)...)
		at += (len(f.content) + isoSector - 1) / isoSector
	}
	if len(folder) > isoSector {
		return fmt.Errorf("%d files are too many", len(files))
	}
	table := []byte{1, 0, rootAt, 0, 0, 0, 1, 0, 0, 0} // the root alone
	big := []byte{1, 0, 0, 0, 0, rootAt, 0, 1, 0, 0}
	sectors := [][]byte{isoDescriptor(label, at, rootAt, len(table)), append([]byte{255}, "CD001\x01"...), table, big, folder}
	for _, f := range files {
		sectors = append(sectors, f.content)
	}
	if _, err := w.Write(make([]byte, 16*isoSector)); err != nil {
		return err
	}
	for _, s := range sectors {
		if _, err := w.Write(s); err != nil {
			return err
		}
		if _, err := w.Write(make([]byte, (isoSector-len(s)%isoSector)%isoSector)); err != nil {
			return err
		}
	}
	return nil
}

// isoDescriptor is the primary volume descriptor.
func isoDescriptor(label string, sectors, root, table int) []byte {
	d := make([]byte, isoSector)
	d[0] = 1
	copy(d[1:], "CD001\x01")
	copy(d[8:40], strings.Repeat(" ", 32))
	copy(d[40:72], label+strings.Repeat(" ", 32))
	both32(d[80:], sectors)
	both16(d[120:], 1)         // volumes
	both16(d[124:], 1)         // this one
	both16(d[128:], isoSector) // size of a block
	both32(d[132:], table)
	binary.LittleEndian.PutUint32(d[140:], 18)
	binary.BigEndian.PutUint32(d[148:], 19)
	copy(d[156:190], isoRecord("\x00", root, isoSector, true))
	for i := 190; i < 813; i++ {
		d[i] = ' ' // names of people and files
	}
	for _, at := range []int{813, 830, 847, 864} {
		copy(d[at:], "0000000000000000") // no dates
	}
	d[881] = 1
	return d
}

// isoRecord describes a file or the folder.
func isoRecord(name string, sector, size int, folder bool) []byte {
	r := make([]byte, (33+len(name)+1)&^1)
	r[0] = byte(len(r))
	both32(r[2:], sector)
	both32(r[10:], size)
	if folder {
		r[25] = 2
	}
	both16(r[28:], 1)
	r[32] = byte(len(name))
	copy(r[33:], name)
	return r
}

func both16(b []byte, n int) {
	binary.LittleEndian.PutUint16(b, uint16(n))
	binary.BigEndian.PutUint16(b[2:], uint16(n))
}

func both32(b []byte, n int) {
	binary.LittleEndian.PutUint32(b, uint32(n))
	binary.BigEndian.PutUint32(b[4:], uint32(n))
}
