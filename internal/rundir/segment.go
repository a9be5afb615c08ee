package rundir

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// journalWriter writes the segments of a journal. One goroutine uses it.
type journalWriter struct {
	fs   FS
	path func(segment int) string
	head []byte // first record of a further segment

	file    File
	segment int

	// What was given to write since the last fsync that succeeded.
	unsynced []byte
	count    int
	dones    []func(error)

	durable []func(error) // what the last write made durable
	spare   []byte        // a buffer to use again

	broken error     // why there is no segment to write to
	retry  time.Time // when to try the next one
}

// begin makes the first segment, with the journal's first record.
func (w *journalWriter) begin(r *Run, id AgentID, start AgentStart, fs FS) error {
	w.fs, w.segment = fs, 1
	w.path = func(segment int) string { return r.journalPath(id, segment) }
	rec := Record{Kind: KindAgent, Agent: &start}
	first, err := appendLine(nil, 1, &rec)
	if err != nil {
		return err
	}
	if w.head, err = appendLine(nil, 0, &rec); err != nil {
		return err
	}
	return w.open(first)
}

// open makes the current segment with this content, durably, or leaves nothing.
func (w *journalWriter) open(content []byte) error {
	name := w.path(w.segment)
	f, err := w.fs.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = w.fs.SyncDir(filepath.Dir(name))
	}
	if err != nil {
		f.Close() // the error that counts is there already
		return errors.Join(err, w.fs.Remove(name))
	}
	w.file = f
	return nil
}

// write writes a batch, and makes it durable if told to or if much has come
// together. The error says why nothing can be written any more; what was
// given is then kept.
func (w *journalWriter) write(batch []byte, count int, dones []func(error), sync bool) error {
	w.unsynced = append(w.unsynced, batch...)
	w.count += count
	w.dones = append(w.dones, dones...)
	if w.broken == nil {
		err := w.put(batch, sync || w.count >= groupCount)
		if err == nil {
			return nil
		}
		w.file.Close() // everything that matters is written again
		w.file = nil
		w.broken = err
	}
	return w.move()
}

func (w *journalWriter) put(batch []byte, sync bool) error {
	if len(batch) > 0 {
		if _, err := w.file.Write(batch); err != nil {
			return err
		}
	}
	if !sync || len(w.unsynced) == 0 {
		return nil
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	w.settled()
	return nil
}

// settled notes that everything is durable.
func (w *journalWriter) settled() {
	w.durable, w.dones = w.dones, nil
	w.unsynced, w.count = w.unsynced[:0], 0
	if cap(w.unsynced) > 1<<20 {
		w.unsynced = nil
	}
}

// move goes on in a new segment, with all that is not durable.
func (w *journalWriter) move() error {
	w.segment++
	if err := w.open(append(append([]byte(nil), w.head...), w.unsynced...)); err != nil {
		w.broken = fmt.Errorf("write %s: %w", w.path(w.segment), err)
		w.retry = time.Now().Add(retryTime)
		return w.broken
	}
	w.broken = nil
	w.settled()
	return nil
}

// abandon tells what is not durable and will not be.
func (w *journalWriter) abandon() error {
	if w.broken == nil {
		return nil
	}
	return fmt.Errorf("%d journal records are not durable: %w", w.count, w.broken)
}

func (w *journalWriter) close() error {
	if w.file == nil {
		return nil
	}
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("close %s: %w", w.path(w.segment), err)
	}
	return nil
}
