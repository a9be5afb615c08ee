package vm

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"muster/internal/guest"
	"muster/internal/job"
)

// number reads a number from the environment.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Whenever a machine is killed, or its instance given up, nothing of it is left, and its program has not succeeded.
func TestRandomKillsLeaveNothing(t *testing.T) {
	l := newLab(t, BootWarm, map[string]string{OptNet: NetSlot})
	seed, rounds := number(t, "MUSTER_TEST_SEED", 1), number(t, "MUSTER_TEST_ROUNDS", 10)
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	for round := range rounds {
		place := l.place("i" + strconv.Itoa(round))
		moment := time.Duration(r.IntN(1500)) * time.Millisecond
		harm := r.IntN(3)
		ctx, cancel := context.WithCancel(t.Context())
		if harm == 0 {
			time.AfterFunc(moment, cancel)
		}
		i, err := l.guest.Open(ctx, place)
		switch {
		case err == nil:
			l.harmed(i, harm, moment)
			if err := i.Close(ctx); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		case !errors.Is(err, context.Canceled):
			t.Errorf("round %d: %v", round, err)
		}
		cancel()
		for _, dir := range []string{place.Dir, place.Temp} {
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("round %d, harm %d: left in %s: %v, %v", round, harm, dir, left, err)
			}
		}
		if all, err := l.table.Descendants(); err != nil || len(all) > 0 {
			t.Errorf("round %d, harm %d: processes: %v, %v", round, harm, all, err)
		}
		if n := len(l.guest.nodes[l.node.Image].segments.all); n > 0 {
			t.Errorf("round %d, harm %d: %d segments", round, harm, n)
		}
	}
}

// harmed has a program running in the instance when that is killed, or left for Close to end.
func (l *lab) harmed(i guest.Instance, harm int, moment time.Duration) {
	l.t.Helper()
	inst := i.(*instance)
	p, err := i.Start(l.t.Context(), guest.Command{Program: "/bin/sh", Args: []string{"-c", "while :; do echo > $RANDOM; done"}, Dir: inst.place.Folders.Work})
	if err != nil {
		l.t.Error(err)
		return
	}
	if harm != 1 {
		return
	}
	time.AfterFunc(moment, func() { _ = syscall.Kill(p.PID(), syscall.SIGKILL) }) // its parent has not collected it: the number is its own
	if e := l.wait(p); e.OK() || e.Cause != job.CauseInstance {
		l.t.Errorf("its machine was killed, and it ended with %v %s %s", e, e.Cause, e.Detail)
	}
}
