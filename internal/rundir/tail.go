package rundir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// readers is how many journals are read at once: enough to hide the answer
	// times of a shared file system.
	readers = 8
	// settle is how long a damaged middle of a growing journal may be the file
	// system's doing, which shows other hosts' writes in pieces.
	settle = 5 * time.Second
)

// Load reads all journals and recomputes the state of the run. What cannot be
// read of journals is in the Snapshot's Damage; the rest counts nevertheless.
func (r *Run) Load(ctx context.Context, opt LoadOptions) (*Snapshot, error) {
	t, err := r.Tail(opt)
	if err != nil {
		return nil, err
	}
	t.once = true
	return t.Poll(ctx)
}

// Tail follows the journals of a run while they grow.
type Tail struct {
	run       *Run
	fold      *fold
	snap      Snapshot
	mu        sync.Mutex // guards fold while several journals are read
	followers map[AgentID]*follower
	once      bool // there is no second Poll
}

// follower reads the journal of one incarnation.
type follower struct {
	id       AgentID
	agent    int // index; −1: no record yet
	segments []*segment
	reader   recordReader
	doubt    time.Time // since when there is a suspect middle; zero: there is none
	err      error     // why it could not be read just now
}

type segment struct {
	number int
	path   string
	off    int64
	first  uint64 // number of its first record; 0: not known
	done   bool   // a later segment has taken over
}

// Tail makes a Tail; nothing is read before the first Poll but the Spec.
func (r *Run) Tail(opt LoadOptions) (*Tail, error) {
	spec, err := r.Spec()
	if err != nil {
		return nil, err
	}
	if spec.Tasks < 0 || spec.Tasks > maxTasks {
		return nil, &DamageError{File: r.SpecPath(), What: fmt.Sprintf("a run of %d tasks", spec.Tasks)}
	}
	t := &Tail{run: r, fold: newFold(spec.Tasks, opt), followers: map[AgentID]*follower{}}
	t.snap = Snapshot{Run: r.Number, Spec: spec, fold: t.fold}
	return t, nil
}

// maxTasks bounds what a Spec may claim before memory is taken for it.
const maxTasks = 50_000_000

// Poll reads what has been written since the last Poll. The Snapshot is the
// Tail's own, and changes with the next Poll. Files are opened anew each time:
// that is what makes a network file system look again.
func (t *Tail) Poll(ctx context.Context) (*Snapshot, error) {
	subs, err := t.run.Submissions()
	if err != nil {
		return nil, err
	}
	if err := t.discover(); err != nil {
		return nil, err
	}
	order := make([]*follower, 0, len(t.followers))
	for _, f := range t.followers {
		order = append(order, f)
	}
	slices.SortFunc(order, func(a, b *follower) int {
		if a.id.before(b.id) {
			return -1
		}
		return 1
	})
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for _, f := range order {
		group.Go(func() error {
			f.err = t.follow(ctx, f)
			if errors.Is(f.err, ErrNewer) {
				return f.err
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	t.fold.judge()
	t.snapshot(subs, order)
	return &t.snap, nil
}

// discover finds new journals and new segments.
func (t *Tail) discover() error {
	names, err := readNames(t.run.path(journalDir, ""))
	if err != nil {
		return fmt.Errorf("list journals: %w", err)
	}
	for _, name := range names {
		id, number, ok := parseJournalName(name)
		if !ok {
			continue
		}
		f := t.followers[id]
		if f == nil {
			f = &follower{id: id, agent: -1}
			t.followers[id] = f
		}
		if slices.ContainsFunc(f.segments, func(s *segment) bool { return s.number == number }) {
			continue
		}
		f.segments = append(f.segments, &segment{number: number, path: t.run.journalPath(id, number)})
		slices.SortFunc(f.segments, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
	}
	return nil
}

// follow reads what is new in one journal.
func (t *Tail) follow(ctx context.Context, f *follower) error {
	for i, seg := range f.segments {
		if seg.done {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		upto, err := nextFirst(f.segments[i+1:])
		if err != nil {
			return err
		}
		if err := t.readSegment(f, seg, upto); err != nil {
			return err
		}
		if upto == 0 {
			return nil // what is behind has no records yet
		}
		seg.done = true
	}
	return nil
}

// nextFirst is the number of the first record in later segments; 0: there is none yet.
func nextFirst(later []*segment) (uint64, error) {
	for _, seg := range later {
		if seg.first == 0 {
			n, err := firstSeq(seg.path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // a segment that could not be used was removed
			}
			if err != nil {
				return 0, err
			}
			seg.first = n
		}
		if seg.first > 0 {
			return seg.first, nil
		}
	}
	return 0, nil
}

func (t *Tail) readSegment(f *follower, seg *segment, upto uint64) error {
	file, err := os.Open(seg.path)
	if errors.Is(err, fs.ErrNotExist) && seg.number > 1 {
		return nil // removed, as above
	}
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	defer file.Close()
	fi, err := file.Stat()
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	if fi.Size() <= seg.off {
		return nil
	}
	if _, err := file.Seek(seg.off, 0); err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	sc := &scanner{in: file, off: seg.off, buf: make([]byte, max(4096, min(256<<10, fi.Size()-seg.off+1)))}
	f.reader.wait = !t.once && upto == 0 && (f.doubt.IsZero() || time.Since(f.doubt) < settle)
	err = f.reader.read(sc, seg.path, upto, func(rec *Record) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		if f.agent < 0 {
			f.agent = t.fold.addAgent(f.id)
		}
		t.fold.add(f.agent, rec)
		return nil
	})
	seg.off = sc.off
	switch {
	case !f.reader.suspect:
		f.doubt = time.Time{}
	case f.doubt.IsZero():
		f.doubt = time.Now()
	}
	return err
}

// snapshot brings the Snapshot up to date.
func (t *Tail) snapshot(subs []Submission, order []*follower) {
	s, f := &t.snap, t.fold
	s.Submissions = subs
	s.Agents, s.Instances, s.Attempts, s.Notes = f.agents, f.instances, f.attempts, f.notes
	s.Reduce, s.ReduceAgent = f.reduce, f.reduceAgent
	s.Counts = f.total()
	s.Damage, s.Torn = nil, nil
	t.clocks(subs)
	for _, fo := range order {
		if fo.reader.damage != nil {
			s.Damage = append(s.Damage, fo.reader.damage)
		}
		if fo.err != nil {
			s.Damage = append(s.Damage, fo.err)
		}
		if fo.agent < 0 {
			continue
		}
		a := &f.agents[fo.agent]
		a.Damaged = fo.reader.damage != nil || fo.err != nil
		a.Torn = fo.reader.torn != nil && !a.Alive
		if a.Torn {
			s.Torn = append(s.Torn, *fo.reader.torn)
		}
	}
	if f.stray > 0 {
		s.Damage = append(s.Damage, &DamageError{File: t.run.path(journalDir, ""),
			What: fmt.Sprintf("%d records speak of tasks that the run does not have", f.stray)})
	}
}
