package rundir

import (
	"context"
	"os"
	"reflect"
	"testing"
	"time"

	"muster/internal/clock"
)

func TestListenersAreFoundUntilTheyEnd(t *testing.T) {
	r := newTestRun(t, 1)
	if err := os.Remove(r.StampFolder()); err != nil { // as in a run of an older muster
		t.Fatal(err)
	}
	if all, err := r.ClockOffers(); err != nil || all != nil {
		t.Errorf("%v, %v", all, err)
	}
	var logs []*ClockLog
	var offers []clock.Offer
	for _, host := range []string{"first", "second"} {
		log, err := r.NewClockLog()
		if err != nil {
			t.Fatal(err)
		}
		o := clock.Offer{Host: host, Addrs: []string{"10.0.0.1:7"}, Token: "t"}
		if err := log.Offer(o); err != nil {
			t.Fatal(err)
		}
		logs, offers = append(logs, log), append(offers, o)
	}
	silent, err := r.NewClockLog() // offers nothing
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.ClockOffers()
	if want := []clock.Offer{offers[1], offers[0]}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("offers %+v, %v", got, err)
	}
	if fi, err := os.Stat(logs[0].offer); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the token can be read: %v, %v", fi.Mode(), err)
	}
	events := []clock.Event{{Agent: "1.1.1", Name: clock.EventUp, Told: time.Unix(5, 6).UTC(), Stamped: time.Unix(7, 8).UTC()}, {Agent: "1.2.1", Name: clock.EventEnd, Told: time.Unix(1, 0).UTC(), Stamped: time.Unix(2, 0).UTC()}}
	for i, log := range logs {
		log.Write(events[i])
	}
	// A command that was killed while it wrote.
	f, err := os.OpenFile(r.path(clocksDir, "2"+eventsSuffix), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"agent":"1.3.1","na`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for _, log := range append(logs, silent) {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	}
	if got, err := r.ClockOffers(); err != nil || got != nil {
		t.Errorf("still offered: %+v, %v", got, err)
	}
	if got, err := r.ClockEvents(); err != nil || !reflect.DeepEqual(got, events) {
		t.Errorf("events %+v, %v", got, err)
	}
}

// What is known of an agent's clock, from what is in a run directory.
func TestClocksOfAgents(t *testing.T) {
	const hour = time.Hour
	ms := time.Millisecond
	here, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	read := func(m clock.Method, ahead, wrong time.Duration) clock.Reading {
		return clock.Reading{Method: m, Ahead: clock.Range{Least: ahead - wrong, Most: ahead + wrong}}
	}
	own := func(r clock.Reading) clock.Reading { r.Local = true; return r }
	submitted := time.Now().Add(-time.Minute)
	for _, c := range []struct {
		name     string
		host     string // that submitted
		boot     string // of the node; the host's is "head"
		began    time.Duration
		last     time.Duration
		files    clock.Reading // of the host
		readings []clock.Reading
		want     clock.Correction
		within   time.Duration // Ahead and Error may be so much greater: this test takes its time
	}{
		{name: "the host itself", host: "head", boot: "head", began: time.Second, want: clock.Correction{Method: clock.Machine, Known: true}},
		{name: "files", host: "head", boot: "n", began: hour, files: read(clock.Files, -hour, 2*ms), readings: []clock.Reading{read(clock.Files, -hour/2, 3*ms)},
			want: clock.Correction{Method: clock.Files, Known: true, Ahead: hour / 2, Error: 5 * ms}},
		{name: "the host is the file server", host: "head", boot: "n", began: hour, files: own(read(clock.Files, 0, 2*ms)), readings: []clock.Reading{read(clock.Files, hour/2, 3*ms)},
			want: clock.Correction{Method: clock.Files, Known: true, Ahead: hour / 2, Error: 5 * ms}},
		{name: "two disks", host: "head", boot: "n", began: hour, files: own(read(clock.Files, 0, ms)), readings: []clock.Reading{own(read(clock.Files, 0, ms))},
			want: clock.Correction{Method: clock.None, Why: "node and submitting host each take the run directory for a disk of their own"}},
		{name: "files of the host alone", host: "head", boot: "n", began: time.Second, files: read(clock.Files, 0, ms), readings: []clock.Reading{{Method: clock.Files, Why: "no NFS"}},
			want: clock.Correction{Method: clock.None, Why: "no NFS"}},
		{name: "began before it was submitted", host: "head", boot: "n", began: -hour, want: clock.Correction{Method: clock.None, Ahead: -hour}},
		{name: "a listener before files", host: "head", boot: "head", began: hour, readings: []clock.Reading{read(clock.Files, 0, ms), read(clock.Socket, 2*ms, ms), read(clock.Socket, 4*ms, ms)},
			want: clock.Correction{Method: clock.Socket, Known: true, Ahead: 3 * ms, Error: 2 * ms}},
		{name: "read on the submitting host before it was written", host: here, boot: "n", began: 2 * hour, last: time.Minute,
			want: clock.Correction{Method: clock.None, Known: true, Ahead: 2 * hour, Error: time.Minute}, within: time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newTestRun(t, 1)
			sub, err := r.AddSubmission(Submission{Kind: SubmitMap, Tag: "t", At: submitted, Elements: 1, Host: c.host, Clock: clock.Host{Boot: "head", Files: c.files}})
			if err != nil {
				t.Fatal(err)
			}
			j, err := r.NewJournal(sub.Generation, 1, AgentStart{Host: "n1", Lanes: 1, Began: submitted.Add(c.began), Boot: c.boot}, JournalOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.readings {
				if err := j.Append(Record{Kind: KindClock, Clock: &c.readings[i]}); err != nil {
					t.Fatal(err)
				}
			}
			if err := j.Append(Record{Kind: KindNote, At: c.last, Note: "x"}); err != nil {
				t.Fatal(err)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			s, err := r.Load(context.Background(), LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got := s.Agents[0].Clock
			ahead, wrong := (got.Ahead - c.want.Ahead).Abs(), (got.Error - c.want.Error).Abs()
			if ahead > c.within || wrong > c.within {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			got.Ahead, got.Error = c.want.Ahead, c.want.Error
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if at := s.Clock(0, 0); at.Before(submitted.Truncate(0)) {
				t.Errorf("began %v, submitted %v", at, submitted)
			}
		})
	}
}
