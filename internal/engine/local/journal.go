package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"muster/internal/job"
)

// head is the first record of an array's events: what has to be known of it to
// answer questions, and who looks after it.
type head struct {
	Version    int       `json:"version"`
	Tag        string    `json:"tag"`
	Name       string    `json:"name"`
	Elements   int       `json:"elements"`
	After      []string  `json:"after,omitempty"`
	Submitted  time.Time `json:"submitted"`
	Supervisor identity  `json:"supervisor"`
}

const headVersion = 1

// event is any further record: an element has got to another state, or (Element
// 0) the array waits for something else than before.
type event struct {
	Element int       `json:"element,omitempty"`
	State   job.State `json:"state,omitempty"`
	Exit    job.Exit  `json:"exit,omitzero"`
	Process process   `json:"process,omitzero"` // with Running: the element itself
	Reason  string    `json:"reason,omitempty"`
	At      time.Time `json:"at"`
}

// A record is one line: CRC-32C of the JSON in eight hexadecimal digits, a
// blank, the JSON, a newline. The last line may be torn; any other must be whole.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const crcLen = 8

func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding a record: %w", err)
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(b, castagnoli), b), nil
}

func decode(line []byte, v any) error {
	if len(line) < crcLen+1 || line[crcLen] != ' ' {
		return errors.New("not a record")
	}
	sum, err := strconv.ParseUint(string(line[:crcLen]), 16, 32)
	if err != nil || uint32(sum) != crc32.Checksum(line[crcLen+1:], castagnoli) {
		return errors.New("wrong checksum")
	}
	return json.Unmarshal(line[crcLen+1:], v)
}

// journal writes the events of one array. It is the file's only writer.
type journal struct {
	file *os.File
	end  int64  // of the last whole record
	rest []byte // records that could not be written yet
}

func newJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the array's events: %w", err)
	}
	return &journal{file: f}, nil
}

// add appends a record. One that cannot be written (the disk is full) is kept,
// and tried again with the next add or flush.
func (j *journal) add(v any) error {
	line, err := encode(v)
	if err != nil {
		return err
	}
	j.rest = append(j.rest, line...)
	return j.flush()
}

// flush writes at the end of the last whole record, so that a torn one is
// written over.
func (j *journal) flush() error {
	if len(j.rest) == 0 {
		return nil
	}
	if _, err := j.file.WriteAt(j.rest, j.end); err != nil {
		return fmt.Errorf("writing the array's events: %w", err)
	}
	j.end += int64(len(j.rest))
	j.rest = j.rest[:0]
	return nil
}

func (j *journal) close() error { return j.file.Close() }

// readHead returns nil when dir is no array, or one whose head a power cut has
// taken: nothing of such an array can be alive.
func readHead(dir string) (*head, error) {
	b, err := readEvents(dir, maxHead)
	if err != nil {
		return nil, err
	}
	h, _, err := parseHead(dir, b)
	return h, err
}

// maxHead is more than any head takes: a tag and a name, each bounded by what a
// command line can hold.
const maxHead = 1 << 20

func readEvents(dir string, limit int64) ([]byte, error) {
	f, err := os.Open(filepath.Join(dir, eventsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the array's events: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, fmt.Errorf("reading the array's events: %w", err)
	}
	return b, nil
}

func parseHead(dir string, b []byte) (*head, []byte, error) {
	line, rest, whole := bytes.Cut(b, []byte{'\n'})
	if !whole {
		return nil, nil, nil
	}
	var h head
	if err := decode(line, &h); err != nil {
		if len(rest) == 0 {
			return nil, nil, nil
		}
		return nil, nil, fmt.Errorf("%s: damaged at byte 0: %w", filepath.Join(dir, eventsFile), err)
	}
	if h.Version > headVersion {
		return nil, nil, fmt.Errorf("%s: written by a newer muster (format %d, this one knows %d)", filepath.Join(dir, eventsFile), h.Version, headVersion)
	}
	if h.Elements < 1 || h.Elements > maxElements {
		return nil, nil, fmt.Errorf("%s: damaged: %d elements", filepath.Join(dir, eventsFile), h.Elements)
	}
	return &h, rest, nil
}

const (
	maxElements = 1 << 24
	maxEvents   = 1 << 33
)

// load reads everything that is known of the array in dir; a nil head when
// there is none.
func load(dir string) (*head, []event, error) {
	b, err := readEvents(dir, maxEvents)
	if err != nil {
		return nil, nil, err
	}
	h, rest, err := parseHead(dir, b)
	if h == nil || err != nil {
		return nil, nil, err
	}
	var out []event
	for len(rest) > 0 {
		line, after, whole := bytes.Cut(rest, []byte{'\n'})
		if !whole {
			break // torn: it is being written just now, or never will be
		}
		var e event
		if err := decode(line, &e); err != nil {
			if len(after) == 0 {
				break
			}
			return nil, nil, fmt.Errorf("%s: damaged at byte %d: %w", filepath.Join(dir, eventsFile), len(b)-len(rest), err)
		}
		if e.Element < 0 || e.Element > h.Elements {
			return nil, nil, fmt.Errorf("%s: damaged at byte %d: element %d of %d", filepath.Join(dir, eventsFile), len(b)-len(rest), e.Element, h.Elements)
		}
		out = append(out, e)
		rest = after
	}
	return h, out, nil
}
