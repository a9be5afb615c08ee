package vmimage

import (
	"fmt"
	"io"
)

// An initrd is a cpio archive of the form that the kernel unpacks ("newc"): a header of hexadecimal
// numbers, the name and the content of each file, padded to four bytes. Writing it takes less code than
// choosing from a library what of it is needed.

// entry is a file, folder or device of an initrd.
type entry struct {
	name    string // without a leading slash; folders come before what is in them
	mode    uint32 // as in stat(2)
	content []byte
	major   uint32 // of a device
	minor   uint32
}

const (
	modeFile   = 0o100000
	modeFolder = 0o040000
	modeChar   = 0o020000
)

// writeCPIO writes an archive of the entries, owned by root, without times: equal entries, equal bytes.
func writeCPIO(w io.Writer, entries []entry) error {
	for i, e := range append(entries, entry{name: "TRAILER!!!"}) {
		// magic, inode, mode, uid, gid, links, time, size, device of the file, device that it is, name's length, checksum
		header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			i+1, e.mode, 0, 0, 1, 0, len(e.content), 0, 0, e.major, e.minor, len(e.name)+1, 0)
		if _, err := io.WriteString(w, padded(header+e.name+"\x00")); err != nil {
			return err
		}
		if _, err := w.Write(e.content); err != nil {
			return err
		}
		if _, err := io.WriteString(w, padding(len(e.content))); err != nil {
			return err
		}
	}
	return nil
}

func padded(s string) string { return s + padding(len(s)) }

func padding(n int) string { return "\x00\x00\x00"[:-n&3] }
