package run

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"muster/internal/clock"
	"muster/internal/job"
	"muster/internal/rundir"
)

// Whoever follows a run tells agents the time, if that is asked for and its clock is the
// one that times are brought to, and leaves nothing when it stops.
func TestListenWhileFollowing(t *testing.T) {
	for _, c := range []struct {
		name, timing, host string
		listens            bool
		told               string
	}{
		{"asked for", "socket", hostname(), true, ""},
		{"not asked for", "files", hostname(), false, ""},
		{"on another host", "socket", "elsewhere", false, "submitted on elsewhere"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			store, err := rundir.OpenStore(t.TempDir(), rundir.Options{})
			if err != nil {
				t.Fatal(err)
			}
			r, err := store.Create(job.Spec{Version: job.SpecVersion, Timing: c.timing}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var told strings.Builder
			cond := &Conductor{Tell: func(line string) { told.WriteString(line) }}
			stop := cond.listen(r, []rundir.Submission{{Generation: 1, Host: c.host}})
			offers, err := r.ClockOffers()
			if err != nil || (len(offers) == 1) != c.listens {
				t.Errorf("offers %+v, %v", offers, err)
			}
			for _, o := range offers {
				link, err := clock.Dial(t.Context(), o, "1.1.1", time.Now)
				if err != nil {
					t.Fatal(err)
				}
				if err := link.Tell(clock.EventUp, time.Now()); err != nil {
					t.Error(err)
				}
				if _, err := link.Compare(); err != nil { // by then the event was heard
					t.Error(err)
				}
				defer link.Close()
			}
			stop()
			if offers, err := r.ClockOffers(); err != nil || len(offers) > 0 {
				t.Errorf("still offered: %+v, %v", offers, err)
			}
			if events, err := r.ClockEvents(); err != nil || (len(events) == 1) != c.listens {
				t.Errorf("events %+v, %v", events, err)
			}
			if (c.told == "") != (told.String() == "") || !strings.Contains(told.String(), c.told) {
				t.Errorf("told %q", told.String())
			}
		})
	}
}

// A submission to a cluster knows its host's clock; the local engine's nodes are the host.
func TestSubmissionsKnowTheirClock(t *testing.T) {
	store, err := rundir.OpenStore(t.TempDir(), rundir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := store.Create(job.Spec{Version: job.SpecVersion}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if h := hostClock(t.Context(), r, "local"); h.Boot != clock.BootID() || h.Files != (clock.Reading{}) {
		t.Errorf("local: %+v", h)
	}
	if h := hostClock(t.Context(), r, "slurm"); h.Boot == "" || h.Files.Method != clock.Files {
		t.Errorf("slurm: %+v", h)
	}
}
