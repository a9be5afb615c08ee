// Package bench repeats launch experiments: the same number of programs brought
// up in several ways, in turns and several times, with the living counted from
// /proc and not by whoever launched them.
package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"muster/internal/ui/human"
)

// A Contender is one way to bring programs up.
type Contender interface {
	// Name is what tables and figures call it.
	Name() string

	// Most is how many instances it is measured with at most.
	Most() int

	// Prepare makes what all its launches need; it is not measured. say is told
	// what is going on.
	Prepare(ctx context.Context, say func(string)) error

	// Launch brings n programs up, has them counted, and takes them down: when it
	// returns, with an error or without, nothing of them is left. n is at most Most.
	// What the numbers count is for the experiment to say (Experiment.Step).
	Launch(ctx context.Context, n int) (Sample, error)

	// Close removes what Prepare has made. Idempotent.
	Close() error
}

// A Sample is what one launch showed.
type Sample struct {
	Series    string
	Instances int
	Jobs      int // that the instances are dealt to; 0: there are none, but one launch
	Repeat    int // from 1
	Nodes     int

	Launch time.Duration // from the command to the moment the last was alive
	Copy   time.Duration // of that: until a node had what it needs, and each instance its own; 0: nothing is copied
	Copies bool          // Copy was measured
	First  time.Duration // of that: until the first was; 0: not known
	Start  time.Duration // of one instance, from the beginning of its clone until it was alive, the median; 0: not known
	Alive  int           // the most that were alive at once
	Source Source        // who counted them
	Memory int64         // bytes that the machine had less while all were alive; 0: not known
	CPU    time.Duration // that everything had used by then; 0: not known
	Down   time.Duration // taking down: at most so long from the last sight of all to the last gone, or the longest of one's own; 0: not known
}

// Source says who counted the living.
type Source string

const (
	FromProc   Source = "/proc"  // the kernel, on this machine
	FromMuster Source = "muster" // its agents' own records: on other machines /proc is out of sight
)

// Rate is how many came up per second.
func (s Sample) Rate() float64 {
	if s.Launch <= 0 {
		return 0
	}
	return float64(s.Instances) / s.Launch.Seconds()
}

// MemoryEach is the memory of one instance, in bytes.
func (s Sample) MemoryEach() int64 { return s.Memory / int64(max(s.Instances, 1)) }

// CPUEach is the CPU time of one start.
func (s Sample) CPUEach() time.Duration { return s.CPU / time.Duration(max(s.Instances, 1)) }

// ErrShort means that not all programs were alive at once.
var ErrShort = errors.New("not all programs were alive at once")

// A Stop says why a contender was measured no further.
type Stop struct {
	Series    string
	Instances int
	Reason    string
}

// Progress hears how an experiment goes on.
type Progress interface {
	// Do carries out a long step under a name.
	Do(ctx context.Context, name string, limit time.Duration, f func(ctx context.Context, say func(string)) error) error
	// Note prints a line that stays.
	Note(text string)
}

// Experiment is what is measured.
type Experiment struct {
	Contenders []Contender // the first is the one that counts
	Counts     []int       // ascending
	Repeats    int
	Step       func(n int) string // what a count is called; nil: so many at once
}

// Run measures, and returns what it has when it is interrupted. For each number
// of instances the contenders take turns, so that whatever else the machine does
// hits them alike. A contender that fails is measured no further, and the reason
// kept; when that is the first one before it has shown anything, it is an error.
func (e Experiment) Run(ctx context.Context, p Progress) (samples []Sample, stops []Stop, err error) {
	defer func() {
		for _, c := range e.Contenders {
			err = errors.Join(err, c.Close())
		}
	}()
	alive := slices.Clone(e.Contenders)
	stop := func(c Contender, n int, why error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if c == e.Contenders[0] && len(samples) == 0 {
			return why
		}
		alive = slices.DeleteFunc(alive, func(other Contender) bool { return other == c })
		stops = append(stops, Stop{c.Name(), n, why.Error()})
		p.Note(fmt.Sprintf("%s: measured no further: %v", c.Name(), why))
		return nil
	}
	for _, c := range e.Contenders {
		if err := p.Do(ctx, "preparing: "+c.Name(), 0, c.Prepare); err != nil {
			if err := stop(c, 0, err); err != nil {
				return samples, stops, err
			}
		}
	}
	for _, n := range e.Counts {
		step, before := human.Count(n)+" at once", len(samples)
		if e.Step != nil {
			step = e.Step(n)
		}
		err := p.Do(ctx, step, 0, func(ctx context.Context, say func(string)) error {
			for repeat := 1; repeat <= e.Repeats; repeat++ {
				for _, c := range slices.Clone(alive) {
					if n > c.Most() {
						continue
					}
					say(fmt.Sprintf("%s, %d of %d", c.Name(), repeat, e.Repeats))
					s, err := once(ctx, c, n, repeat)
					if err != nil {
						if err := stop(c, n, err); err != nil {
							return err
						}
						continue
					}
					samples = append(samples, s)
				}
			}
			return nil
		})
		if err != nil {
			return samples, stops, err
		}
		for _, pt := range Summarise(samples[before:]) {
			p.Note("  " + pt.String())
		}
	}
	return samples, stops, nil
}

func once(ctx context.Context, c Contender, n, repeat int) (Sample, error) {
	s, err := c.Launch(ctx, n)
	s.Series, s.Repeat = c.Name(), repeat
	if s.Jobs == 0 {
		s.Instances = n
	}
	if err == nil && s.Alive < s.Instances {
		err = fmt.Errorf("%w: %d of %d", ErrShort, s.Alive, s.Instances)
	}
	return s, err
}
