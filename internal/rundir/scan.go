package rundir

import (
	"bytes"
	"fmt"
	"io"
)

// scanner reads the lines of one journal file from some offset on.
type scanner struct {
	in         io.Reader
	buf        []byte
	start, end int   // what of buf is not used up
	off        int64 // offset in the file of buf[start]
	eof        bool
}

func newScanner(in io.Reader, off int64) *scanner {
	return &scanner{in: in, off: off, buf: make([]byte, 256<<10)}
}

// verdict says what next has found.
type verdict int

const (
	vRecord  verdict = iota // a line whose checksum is right
	vEnd                    // the end of the file, behind a whole line
	vTorn                   // the last line, and not whole
	vDamaged                // a line that is wrong and not the last
)

// next reads a line. Its payload is valid until the next call. The offset stays
// where it was for every verdict but vRecord; skip goes past a damaged line. why
// says what is wrong with it.
func (s *scanner) next() (payload []byte, v verdict, why string, err error) {
	for {
		rest := s.buf[s.start:s.end]
		l := parseLine(rest)
		if l.short && !s.eof {
			if err := s.fill(); err != nil {
				return nil, 0, "", err
			}
			continue
		}
		if len(rest) == 0 {
			return nil, vEnd, "", nil
		}
		if l.why == "" && !l.short {
			s.start += l.total
			s.off += int64(l.total)
			return rest[l.head : l.total-1], vRecord, "", nil
		}
		if !s.eof && len(rest) <= maxLine {
			// Whether this is the last line is known at the end only.
			if err := s.fill(); err != nil {
				return nil, 0, "", err
			}
			continue
		}
		if s.eof && lastLine(rest, l) {
			return nil, vTorn, "", nil
		}
		if l.why == "" {
			l.why = "a record is longer than the rest of the file"
		}
		return nil, vDamaged, l.why, nil
	}
}

// lastLine reports whether rest, which holds no whole record at its beginning, is
// what a single write of the last record may have left.
func lastLine(rest []byte, l line) bool {
	if len(rest) > maxLine {
		return false
	}
	if l.total > 0 && len(rest) > l.total {
		return false // there is more than the record that stands here
	}
	if l.total > 0 && len(rest) == l.total {
		return true
	}
	nl := bytes.IndexByte(rest, '\n')
	return nl < 0 || nl == len(rest)-1 && hidden(rest) == 0
}

// hidden finds a whole record in a line that does not begin with one: a newline
// before it was damaged. 0: there is none.
func hidden(b []byte) int {
	for p := 1; p < len(b); p++ {
		if b[p] < '1' || b[p] > '9' {
			continue
		}
		// The head tells the length; the checksum is computed only if that fits.
		if l := parseLine(b[p:min(len(b), p+maxHead)]); l.total != len(b)-p {
			continue
		}
		if l := parseLine(b[p:]); !l.short && l.why == "" {
			return p
		}
	}
	return 0
}

// skip goes to the next record in a damaged line, to the beginning of the next
// line, or to the end.
func (s *scanner) skip() error {
	for {
		rest := s.buf[s.start:s.end]
		if nl := bytes.IndexByte(rest, '\n'); nl >= 0 {
			n := hidden(rest[:nl+1])
			if n == 0 {
				n = nl + 1
			}
			s.start += n
			s.off += int64(n)
			return nil
		}
		s.start = s.end
		s.off += int64(len(rest))
		if s.eof {
			return nil
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// fill reads more; it makes room first, at most for one line of the greatest length.
func (s *scanner) fill() error {
	if s.start > 0 {
		copy(s.buf, s.buf[s.start:s.end])
		s.end -= s.start
		s.start = 0
	}
	if s.end == len(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for range 100 {
		n, err := s.in.Read(s.buf[s.end:])
		s.end += n
		if err == io.EOF {
			s.eof = true
			return nil
		}
		if n > 0 || err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// line is what stands at the beginning of some bytes.
type line struct {
	head  int    // bytes before the payload
	total int    // bytes of the whole line with its newline; 0: the head cannot be read
	short bool   // not all of it is there
	why   string // what is wrong with it
}

func parseLine(b []byte) line {
	n, i := 0, 0
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		if n = n*10 + int(b[i]-'0'); n > maxRecord {
			return line{why: fmt.Sprintf("a record claims more than %d bytes", maxRecord)}
		}
		if i == 0 && n == 0 {
			return line{why: "a record claims no bytes"}
		}
	}
	if i == len(b) {
		return line{short: true}
	}
	if i == 0 || b[i] != ' ' {
		return line{why: "no record begins here"}
	}
	i++
	if len(b) < i+9 {
		return line{short: true}
	}
	crc, ok := parseCRC(b[i : i+8])
	if !ok || b[i+8] != ' ' {
		return line{why: "a record has no checksum"}
	}
	i += 9
	l := line{head: i, total: i + n + 1}
	if len(b) < l.total {
		l.short = true
		return l
	}
	switch {
	case checksum(b[i:i+n]) != crc:
		l.why = "the checksum of a record is wrong"
	case b[i+n] != '\n':
		l.why = "a record does not end where it says"
	}
	return l
}

func parseCRC(b []byte) (crc uint32, ok bool) {
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		crc = crc<<4 | uint32(c)
	}
	return crc, true
}
