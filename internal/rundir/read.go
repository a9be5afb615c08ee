package rundir

import (
	"fmt"
	"io"
	"os"
)

// Torn tells of a last record that was not written whole, and was left out.
type Torn struct {
	File   string
	Offset int64 // where it begins
}

func (t Torn) String() string {
	return fmt.Sprintf("%s: the last record, at byte %d, was not written whole and is left out", t.File, t.Offset)
}

// ReadJournal calls fn for each record of one journal file. A last record that
// is not whole is told, and is no error. When the file is damaged elsewhere, fn
// is still called for all whole records, and then the error is a *DamageError. An
// error of fn ends the reading and is returned as it is.
func ReadJournal(path string, fn func(Record) error) (*Torn, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer f.Close()
	return DecodeJournal(f, path, fn)
}

// DecodeJournal is ReadJournal for a reader; name stands in messages.
func DecodeJournal(in io.Reader, name string, fn func(Record) error) (*Torn, error) {
	rd := &recordReader{fresh: true}
	err := rd.read(newScanner(in, 0), name, 0, func(rec *Record) error { return fn(*rec) })
	if err == nil && rd.damage != nil {
		err = rd.damage
	}
	return rd.torn, err
}

// recordReader reads the records of one incarnation of an agent, over all its
// segments, each record once.
type recordReader struct {
	last   uint64       // the highest sequence number so far
	damage *DamageError // the first one, with all that is missing
	torn   *Torn        // of the segment that was read last

	// fresh: each record has memory of its own, and may be kept.
	fresh bool
	rec   Record
	box   recordBox

	// wait: a damaged middle may be the work of a file system that shows a
	// growing file in pieces. Reading stops before it, and suspect is set.
	wait    bool
	suspect bool
}

// read reads on from sc. Records from number upto on are in a later segment,
// too, and nothing of this one matters from there on; 0: there is none.
func (rd *recordReader) read(sc *scanner, name string, upto uint64, fn func(*Record) error) error {
	rd.torn, rd.suspect = nil, false
	for {
		if upto > 0 && rd.last+1 >= upto {
			return nil
		}
		offset := sc.off
		payload, v, why, err := sc.next()
		if err != nil {
			return fmt.Errorf("read journal %s: %w", name, err)
		}
		switch v {
		case vEnd:
			return nil
		case vTorn:
			rd.torn = &Torn{File: name, Offset: offset}
			return nil
		case vDamaged:
			if rd.wait {
				rd.suspect = true
				return nil
			}
			rd.damaged(name, offset, why, 0)
			if err := sc.skip(); err != nil {
				return fmt.Errorf("read journal %s: %w", name, err)
			}
		case vRecord:
			if err := rd.record(payload, name, offset, fn); err != nil {
				return err
			}
		}
	}
}

func (rd *recordReader) record(payload []byte, name string, offset int64, fn func(*Record) error) error {
	rec := &rd.rec
	text := borrow(payload)
	if rd.fresh {
		text = string(payload)
	}
	seq, err := decodePayload(text, rec, &rd.box)
	if err != nil {
		rd.damaged(name, offset, err.Error(), 0)
		return nil
	}
	if rec.Agent != nil && rec.Agent.Version > JournalVersion {
		return fmt.Errorf("%w: %s has format %d, this muster knows %d", ErrNewer, name, rec.Agent.Version, JournalVersion)
	}
	// 0 is the head of a further segment, which repeats the journal's first record.
	if seq == 0 && rd.last > 0 || seq > 0 && seq <= rd.last {
		return nil
	}
	if seq > rd.last+1 {
		rd.damaged(name, offset, "records before it are missing", int(seq-rd.last-1))
	}
	rd.last = max(rd.last, seq)
	if rd.fresh {
		rec.unbox()
	}
	return fn(rec)
}

// unbox gives a record memory of its own.
func (rec *Record) unbox() {
	switch {
	case rec.Agent != nil:
		c := *rec.Agent
		rec.Agent = &c
	case rec.Instance != nil:
		c := *rec.Instance
		rec.Instance = &c
	case rec.Start != nil:
		c := *rec.Start
		rec.Start = &c
	case rec.Up != nil:
		c := *rec.Up
		rec.Up = &c
	case rec.Launch != nil:
		c := *rec.Launch
		rec.Launch = &c
	case rec.End != nil:
		c := *rec.End
		c.Outputs = append([]Output(nil), c.Outputs...)
		rec.End = &c
	case rec.Clock != nil:
		c := *rec.Clock
		rec.Clock = &c
	case rec.Reduce != nil:
		c := *rec.Reduce
		if c.Output != nil {
			o := *c.Output
			c.Output = &o
		}
		rec.Reduce = &c
	}
}

func (rd *recordReader) damaged(name string, offset int64, why string, missing int) {
	if rd.damage == nil {
		rd.damage = &DamageError{File: name, Offset: offset, What: why}
	}
	rd.damage.Missing += missing
}

// firstSeq tells the number of the first record behind a segment's head; 0: there is none yet.
func firstSeq(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("read journal: %w", err)
	}
	defer f.Close()
	sc := newScanner(f, 0)
	for {
		payload, v, _, err := sc.next()
		if err != nil {
			return 0, fmt.Errorf("read journal %s: %w", path, err)
		}
		if v != vRecord {
			return 0, nil
		}
		var rec Record
		seq, err := decodePayload(string(payload), &rec, new(recordBox))
		if err != nil || seq > 0 {
			return seq, nil
		}
	}
}
