package main

import (
	"errors"
	"strings"
	"testing"

	"muster/internal/admit"
	"muster/internal/goldentest"
	"muster/internal/guest/wine"
	"muster/internal/job"
	"muster/internal/node"
)

// TestForeseen is what --dry-run says of room: here, and for nodes elsewhere.
func TestForeseen(t *testing.T) {
	room := node.Room{
		Memory: []node.Bound{{By: "memory cgroup /user.slice", Limit: 4 << 30, Used: 100 << 20, Raise: "ask its maker"}},
		Tasks:  []node.Bound{{By: "kernel.pid_max", Limit: 32768, Used: 358}},
	}
	traits := wine.New(nil).Traits()
	shared := admit.Ask{Programs: 1000, Each: admit.Least(traits, job.IsolateNode), Fixed: admit.Servers(traits, 4), How: "at least"}
	tooMany := shared
	tooMany.Programs = 40000
	own := admit.Ask{Programs: 64, Each: admit.Least(traits, job.IsolateLane), How: "at least"}

	var all strings.Builder
	for _, c := range []struct {
		name    string
		f       foreseen
		refused bool
	}{
		{"fits", foreseen{ask: shared, judged: true}, false},
		{"does not fit", foreseen{ask: tooMany, judged: true}, true},
		{"goes in waves", foreseen{ask: tooMany, judged: true, waves: true}, false},
		{"on nodes, shared servers", foreseen{ask: shared}, false},
		{"on nodes, servers of their own", foreseen{ask: own, waves: true}, false},
	} {
		if c.f.judged {
			c.f.verdict = admit.Judge(c.f.ask, room)
		}
		all.WriteString("== " + c.name + "\n" + c.f.text())
		var r *admit.Refusal
		if got := errors.As(c.f.refusal(), &r); got != c.refused {
			t.Errorf("%s: refused %v", c.name, got)
		}
	}
	goldentest.Check(t, "foreseen.golden", []byte(all.String()))

	var ofMap *foreseen
	if ofMap.text() != "" || ofMap.refusal() != nil {
		t.Error("something is foreseen of a map")
	}
}
