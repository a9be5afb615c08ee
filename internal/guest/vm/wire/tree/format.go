// Package tree sends a folder with all that is in it as a stream of bytes, and makes it
// anew from one, with memory that does not grow with it.
//
// Files, folders, symbolic and hard links are kept, with their names, permissions and times
// of change; holes stay holes. Owners are not: everything is the receiver's. Sockets, pipes and devices are left out, and counted.
//
// A stream may come from somebody hostile. It names one component at a time, folders are
// entered without following links, and links are made and never followed: so nothing
// outside the receiving folder can be reached. Permissions that lend somebody's identity (set-user-ID, set-group-ID) are dropped.
package tree

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The stream: entries in the order of a walk. An entry is its kind and what is named here; numbers are
// big-endian, texts have their length (2 bytes) before them.
const (
	magic = "mtree\x00\x00\x01" // at the very beginning

	enter   = 'D' // name, meta: a folder; what follows is in it
	leave   = 'U' // back to the folder above
	file    = 'F' // name, meta; then extents
	symlink = 'L' // name, meta, where it leads
	same    = 'H' // name, path of a file that was sent before: another name of it
	finish  = 'E' // how many entries, how much was left out: the tree is whole
	failed  = 'X' // text: the sender cannot go on

	extent = 'd' // length (4 bytes), bytes
	hole   = 'h' // length (8 bytes)
	eof    = 'e'
)

const (
	maxName   = 255
	maxTarget = 4095
	maxPath   = 1<<16 - 1
	maxExtent = 1 << 20
	maxDepth  = 1000 // folders in folders: each is open while what is in it is sent
	metaSize  = 4 + 8 + 4
)

// ErrBroken means that what arrives is no tree, or one that no sender makes.
var ErrBroken = errors.New("what arrives is not a tree of files")

// Count is what a tree has.
type Count struct {
	Files, Folders, Links int64 // symbolic and further hard links are Links
	Bytes                 int64 // of data in the files; holes are none
	Skipped               int64 // sockets, pipes, devices: left out
}

func (c Count) entries() int64 { return c.Files + c.Folders + c.Links }

// Limits bound what is received; 0: no bound.
type Limits struct {
	Entries int64
	Bytes   int64 // of data
	Size    int64 // of one file, holes included
}

// meta is what is kept of an entry.
type meta struct {
	mode uint32 // permissions
	sec  int64  // time of last change
	nsec uint32
}

func (m meta) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, m.mode)
	b = binary.BigEndian.AppendUint64(b, uint64(m.sec))
	return binary.BigEndian.AppendUint32(b, m.nsec)
}

// encoder writes entries. The first error stays.
type encoder struct {
	w   *bufio.Writer
	b   []byte
	err error
}

func (e *encoder) begin(kind byte) *encoder {
	e.b = append(e.b[:0], kind)
	return e
}

func (e *encoder) text(s string) *encoder {
	e.b = binary.BigEndian.AppendUint16(e.b, uint16(len(s)))
	e.b = append(e.b, s...)
	return e
}

func (e *encoder) meta(m meta) *encoder {
	e.b = m.append(e.b)
	return e
}

func (e *encoder) number(n int64) *encoder {
	e.b = binary.BigEndian.AppendUint64(e.b, uint64(n))
	return e
}

func (e *encoder) write() error { return e.raw(e.b) }

func (e *encoder) raw(b []byte) error {
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
	return e.err
}

// decoder reads entries.
type decoder struct {
	r *bufio.Reader
	b [metaSize]byte
}

func (d *decoder) full(b []byte) error {
	_, err := io.ReadFull(d.r, b)
	return cutShort(err)
}

// cutShort: the end of the stream is only good after finish.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too early", ErrBroken)
	}
	return err
}

func (d *decoder) kind() (byte, error) {
	k, err := d.r.ReadByte()
	return k, cutShort(err)
}

func (d *decoder) text(most int) (string, error) {
	if err := d.full(d.b[:2]); err != nil {
		return "", err
	}
	n := int(binary.BigEndian.Uint16(d.b[:2]))
	if n > most {
		return "", fmt.Errorf("%w: a text of %d bytes, more than %d", ErrBroken, n, most)
	}
	b := make([]byte, n)
	if err := d.full(b); err != nil {
		return "", err
	}
	if strings.IndexByte(string(b), 0) >= 0 {
		return "", fmt.Errorf("%w: a text with a NUL", ErrBroken)
	}
	return string(b), nil
}

// name reads one component of a path.
func (d *decoder) name() (string, error) {
	s, err := d.text(maxName)
	if err != nil {
		return "", err
	}
	return s, checkName(s)
}

func checkName(s string) error {
	if s == "" || s == "." || s == ".." || strings.Contains(s, "/") {
		return fmt.Errorf("%w: %q is no name", ErrBroken, s)
	}
	return nil
}

func (d *decoder) meta() (meta, error) {
	if err := d.full(d.b[:metaSize]); err != nil {
		return meta{}, err
	}
	m := meta{
		mode: binary.BigEndian.Uint32(d.b[:]) & 0o777,
		sec:  int64(binary.BigEndian.Uint64(d.b[4:])),
		nsec: binary.BigEndian.Uint32(d.b[12:]),
	}
	if m.nsec >= 1e9 {
		return meta{}, fmt.Errorf("%w: a time with %d nanoseconds", ErrBroken, m.nsec)
	}
	return m, nil
}

func (d *decoder) number(size int) (int64, error) {
	var b [8]byte
	if err := d.full(b[8-size:]); err != nil {
		return 0, err
	}
	n := int64(binary.BigEndian.Uint64(b[:]))
	if n < 0 {
		return 0, fmt.Errorf("%w: a number of %d", ErrBroken, n)
	}
	return n, nil
}
