package rundir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Chunk is a piece of what an attempt has written.
type Chunk struct {
	Task, Attempt, FD int
	Data              []byte // valid until the function returns
	// Cut is how many bytes are missing here: they were beyond the limit, or are
	// not in the file. Data is then empty.
	Cut int64
}

// StreamReader reads the output streams of a run, and follows them.
type StreamReader struct {
	run    *Run
	want   func(task, attempt int) bool
	agents map[AgentID]*indexReader
}

// indexReader is how far an agent's index has been read.
type indexReader struct {
	id   AgentID
	off  int64
	last uint64
}

// Streams makes a reader of those attempts that want accepts; nil: of all.
func (r *Run) Streams(want func(task, attempt int) bool) *StreamReader {
	return &StreamReader{run: r, want: want, agents: map[AgentID]*indexReader{}}
}

// Next calls fn for what is new since the last call: agent by agent, and for each
// in the order of writing. What is damaged is passed over and is in the error,
// a *DamageError, beside everything else. An error of fn ends it.
func (s *StreamReader) Next(fn func(Chunk) error) error {
	names, err := readNames(s.run.path(streamDir, ""))
	if err != nil {
		return fmt.Errorf("list output streams: %w", err)
	}
	for _, name := range names {
		base, ok := strings.CutSuffix(name, indexSuffix)
		if id, segment, is := parseJournalName(base); ok && is && segment == 1 && s.agents[id] == nil {
			s.agents[id] = &indexReader{id: id}
		}
	}
	order := make([]*indexReader, 0, len(s.agents))
	for _, a := range s.agents {
		order = append(order, a)
	}
	slices.SortFunc(order, func(a, b *indexReader) int {
		if a.id.before(b.id) {
			return -1
		}
		return 1
	})
	var damage []error
	for _, a := range order {
		err := s.agent(a, fn)
		var d *DamageError
		if errors.As(err, &d) {
			damage = append(damage, err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(damage...)
}

// agent reads what is new of one agent.
func (s *StreamReader) agent(a *indexReader, fn func(Chunk) error) error {
	path := s.run.streamPath(a.id)
	index, err := os.Open(path + indexSuffix)
	if err != nil {
		return fmt.Errorf("read output stream: %w", err)
	}
	defer index.Close()
	fi, err := index.Stat()
	if err != nil {
		return fmt.Errorf("read output stream: %w", err)
	}
	if fi.Size() <= a.off {
		return nil
	}
	// Opened after the index, so that it holds what the index speaks of.
	data, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read output stream: %w", err)
	}
	defer data.Close()
	if _, err := index.Seek(a.off, io.SeekStart); err != nil {
		return fmt.Errorf("read output stream: %w", err)
	}
	sc := newScanner(index, a.off)
	buf := make([]byte, streamFlush)
	var damage *DamageError
	for {
		at := sc.off
		payload, v, why, err := sc.next()
		if err != nil {
			return fmt.Errorf("read output stream: %w", err)
		}
		if v == vEnd || v == vTorn {
			a.off = sc.off
			if damage != nil {
				return damage
			}
			return nil
		}
		var p piece
		var off int64
		var seq uint64
		if v == vRecord {
			var ok bool
			if seq, p, off, ok = parsePiece(string(payload)); !ok {
				why = "a line cannot be read"
			}
		} else if err := sc.skip(); err != nil {
			return fmt.Errorf("read output stream: %w", err)
		}
		if why != "" {
			if damage == nil {
				damage = &DamageError{File: path + indexSuffix, Offset: at, What: why}
			}
			continue
		}
		if seq <= a.last || s.want != nil && !s.want(p.task, p.attempt) {
			a.off, a.last = sc.off, max(a.last, seq)
			continue
		}
		if err := chunks(data, p, off, buf, fn); err != nil {
			return err
		}
		a.off, a.last = sc.off, seq
	}
}

// chunks calls fn for the pieces of one line of the index.
func chunks(data *os.File, p piece, off int64, buf []byte, fn func(Chunk) error) error {
	c := Chunk{Task: p.task, Attempt: p.attempt, FD: p.fd}
	left := p.n
	for !p.cut && left > 0 {
		n, err := data.ReadAt(buf[:min(left, int64(len(buf)))], off)
		if n > 0 {
			c.Data = buf[:n]
			if err := fn(c); err != nil {
				return err
			}
			off, left = off+int64(n), left-int64(n)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read output stream: %w", err)
		}
	}
	if left == 0 {
		return nil
	}
	c.Data, c.Cut = nil, left
	return fn(c)
}

func parsePiece(s string) (seq uint64, p piece, off int64, ok bool) {
	n, s, ok := cutInt(s)
	if !ok || n < 0 || len(s) < 2 || s[0] != ' ' || s[1] != 'T' && s[1] != 'C' {
		return 0, p, 0, false
	}
	p.cut = s[1] == 'C'
	s = s[2:]
	var v [5]int64
	for i := range v {
		if s == "" || s[0] != ' ' {
			return 0, p, 0, false
		}
		if v[i], s, ok = cutInt(s[1:]); !ok || v[i] < 0 {
			return 0, p, 0, false
		}
	}
	p.task, p.attempt, p.fd, off, p.n = int(v[0]), int(v[1]), int(v[2]), v[3], v[4]
	return uint64(n), p, off, s == ""
}

// ReadOutput calls fn for what one attempt has written so far.
func (r *Run) ReadOutput(task, attempt int, fn func(Chunk) error) error {
	err := r.Streams(func(t, a int) bool { return t == task && a == attempt }).Next(fn)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
