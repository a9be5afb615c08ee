package enginetest

import (
	"slices"
	"strconv"
	"sync"

	"muster/internal/engine"
	"muster/internal/job"
)

func testConcurrent(l *lab) {
	const users = 6
	arrays := make([]job.Array, users)
	for i := range arrays {
		arrays[i] = l.array(2, `: > "$D/ran-`+strconv.Itoa(i)+`-$MUSTER_ELEMENT"`)
		arrays[i].Hold = i%2 == 0
	}
	ids := make([]engine.ID, users)
	var work sync.WaitGroup
	for i, a := range arrays {
		work.Go(func() {
			ctx := l.Context()
			id, err := l.engine.Submit(ctx, a)
			if err != nil {
				l.Errorf("Submit: %v", err)
				return
			}
			ids[i] = id
			if _, err := l.engine.Status(ctx, id); err != nil {
				l.Errorf("Status: %v", err)
			}
			if found, err := l.engine.Find(ctx, a.Tag); err != nil || !slices.Equal(found, []engine.ID{id}) {
				l.Errorf("Find(%q): %v, %v; want %s", a.Tag, found, err, id)
			}
			if err := l.engine.Control(ctx, id, job.OpRelease); err != nil {
				l.Errorf("Control: %v", err)
			}
		})
	}
	work.Wait()
	if l.Failed() {
		return
	}
	l.pending = append(l.pending, ids...)
	sorted := slices.Clone(ids)
	slices.Sort(sorted)
	if len(slices.Compact(sorted)) != users {
		l.Fatalf("two arrays have one ID: %v", ids)
	}
	for _, id := range ids {
		l.completed(id)
	}
	if got := l.files("ran-"); len(got) != 2*users {
		l.Errorf("%d elements ran, not %d: %v", len(got), 2*users, got)
	}
}

func (l *lab) elsewhere(a job.Array) engine.ID {
	l.Helper()
	id := l.config.Elsewhere(l.T, a)
	l.pending = append(l.pending, id)
	return id
}

func testSurvival(l *lab) {
	a := l.array(2, waitFor("go")+`
: > "$D/ran-$MUSTER_ELEMENT"`)
	id := l.elsewhere(a)
	if ids := l.find(a.Tag); !slices.Equal(ids, []engine.ID{id}) {
		l.Errorf("Find gives %v, want %s", ids, id)
	}
	l.follow(id, job.Running)
	l.gate("go")
	l.completed(id)
	if len(l.files("ran-")) != 2 {
		l.Errorf("not every element ran: %v", l.files("ran-"))
	}
}

func testSurvivalAfter(l *lab) {
	first := l.elsewhere(l.array(1, waitFor("go")+`
: > "$D/before.end"
exit 1`))
	second := l.elsewhere(l.dependent(first))
	l.follow(first, job.Running)
	l.gate("go")
	l.follow(first, job.Failed)
	l.inOrder(second)
}

func testTwoProcesses(l *lab) {
	const submitters = 4
	arrays := make([]job.Array, submitters)
	for i := range arrays {
		arrays[i] = l.array(1, `: > "$D/ran-`+strconv.Itoa(i)+`"`)
	}
	ids := make([]engine.ID, submitters)
	var work sync.WaitGroup
	for i, a := range arrays {
		work.Go(func() { ids[i] = l.config.Elsewhere(l.T, a) })
	}
	work.Wait()
	if l.Failed() {
		return
	}
	l.pending = append(l.pending, ids...)
	for i, id := range ids {
		l.completed(id)
		if found := l.find(arrays[i].Tag); !slices.Equal(found, []engine.ID{id}) {
			l.Errorf("Find(%q) gives %v, want %s", arrays[i].Tag, found, id)
		}
	}
	if got := l.files("ran-"); len(got) != submitters {
		l.Errorf("%d arrays ran, not %d: %v", len(got), submitters, got)
	}
}
