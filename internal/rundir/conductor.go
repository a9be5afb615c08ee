package rundir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// Each process that conducts a run makes a heartbeat file of its own, with the
// next number, which only one can make. The highest number conducts.

// Conduct makes this process the run's conductor. ErrBusy tells who else is. A
// conductor on another host that has not said that it ends is watched for up to
// HeartPatience; ctx shortens that. A goroutine beats until the Heart is closed.
func (r *Run) Conduct(ctx context.Context, host string, pid int) (*Heart, error) {
	k, err := r.lastConductor()
	if err != nil {
		return nil, err
	}
	if k > 0 {
		if err := r.awaitEnd(ctx, r.conductorPath(k), host); err != nil {
			return nil, err
		}
	}
	h, err := newHeart(r.conductorPath(k+1), host, pid, r.conductorPath(k+2))
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w: it has just begun", ErrBusy)
	}
	return h, err
}

// Conductor tells who conducted the run last. alive is whether it is believed
// to be alive; for another host that is known only after watching (see Conduct),
// and it is believed to be. ok is false when nobody ever has.
func (r *Run) Conductor(host string) (h Holder, alive, ok bool, err error) {
	k, err := r.lastConductor()
	if err != nil || k == 0 {
		return h, false, false, err
	}
	name := r.conductorPath(k)
	h, err = readHolder(name)
	if errors.Is(err, fs.ErrNotExist) {
		return h, true, true, nil
	}
	if err != nil {
		return h, false, false, fmt.Errorf("look for the conductor: %w", err)
	}
	gone := h.Ended || h.Host == host && h.Lock && lockIsFree(name)
	return h, !gone, true, nil
}

func (r *Run) conductorPath(k int) string {
	return r.path(heartbeatDir, conductorBase+strconv.Itoa(k))
}

// lastConductor is the highest number of a conductor so far; 0: there was none.
func (r *Run) lastConductor() (int, error) {
	names, err := readNames(r.path(heartbeatDir, ""))
	if err != nil {
		return 0, fmt.Errorf("look for the conductor: %w", err)
	}
	last := 0
	for _, name := range names {
		base, ok := strings.CutPrefix(name, conductorBase)
		if ns, is := parseNumbers(base, 1, 1); ok && is {
			last = max(last, ns[0])
		}
	}
	return last, nil
}

// awaitEnd returns nil when the holder of a heartbeat is gone, ErrBusy when it
// is not.
func (r *Run) awaitEnd(ctx context.Context, name, host string) error {
	w := watched{since: time.Now()}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		switch h, life := w.look(name, host, HeartPatience); {
		case life == lifeGone:
			return nil
		case life == lifeSure:
			return fmt.Errorf("%w: process %d on %s", ErrBusy, h.PID, h.Host)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("see whether the run's conductor lives: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
