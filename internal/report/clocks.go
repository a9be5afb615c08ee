package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/internal/clock"
	"muster/internal/ui/human"
)

// byMethod is how many nodes' clocks were compared in one way, and how well.
type byMethod struct {
	method clock.Method
	agents []*Agent
	wrong  time.Duration // the greatest error that is known
	known  bool          // of every one
}

// clockMethods are the ways in which clocks were compared, the commonest first.
func (r *Report) clockMethods() []byMethod {
	by := map[clock.Method]*byMethod{}
	for i := range r.run.Agents {
		a := &r.run.Agents[i]
		m := by[a.Clock.Method]
		if m == nil {
			m = &byMethod{method: a.Clock.Method, known: true}
			by[a.Clock.Method] = m
		}
		m.agents = append(m.agents, a)
		m.known = m.known && a.Clock.Known
		m.wrong = max(m.wrong, a.Clock.Error)
	}
	var out []byMethod
	for _, m := range by {
		out = append(out, *m)
	}
	slices.SortFunc(out, func(a, b byMethod) int {
		return cmp.Or(cmp.Compare(len(b.agents), len(a.agents)), cmp.Compare(a.method, b.method))
	})
	return out
}

// clocks says how times of several nodes were brought to one clock.
func (t *textReport) clocks() {
	methods := t.clockMethods()
	if len(t.run.Agents) < 2 && (len(methods) == 0 || methods[0].method == clock.Machine || methods[0].method == clock.None) {
		return // one agent on this host: there is nothing to compare
	}
	var parts []string
	for _, m := range methods {
		parts = append(parts, m.text())
	}
	t.prose("clocks     ", strings.Join(parts, "; "))
	if s := t.wrongClocks(); s != "" {
		t.prose("           ", s)
	}
	if s := t.unreached(); s != "" {
		t.prose("           ", s)
	}
}

func (m byMethod) text() string {
	who := plural(len(m.agents), "node", "nodes")
	switch m.method {
	case clock.Machine:
		return who + " with the submitting host's own clock"
	case clock.Socket:
		return fmt.Sprintf("%s compared through a socket, within %s", who, bound(m.wrong))
	case clock.Files:
		return fmt.Sprintf("%s compared through files, within %s", who, bound(m.wrong))
	}
	s := who + " not compared, taken to be right as far as what came before what allows"
	if m.known {
		s += fmt.Sprintf(" (wrong by %s at most)", bound(m.wrong))
	}
	if why := m.agents[0].Clock.Why; why != "" {
		s += ": " + human.Escape(why)
	}
	return s
}

// bound is an error in words, never less than it is.
func bound(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		const tenth = time.Millisecond / 10
		return human.Duration(max((d + tenth - 1).Truncate(tenth), tenth))
	case d < time.Second:
		return human.Duration((d + time.Millisecond - 1).Truncate(time.Millisecond))
	}
	return human.Duration(d + d/100)
}

// wrongClocks names the nodes whose clocks were visibly wrong.
func (t *textReport) wrongClocks() string {
	var off []*Agent
	var odd []string
	for i := range t.run.Agents {
		a := &t.run.Agents[i]
		if c := a.Clock; c.Ahead.Abs() > max(c.Error, time.Second) {
			off = append(off, a)
		}
		if a.Clock.Odd {
			odd = append(odd, t.host(a.Element))
		}
	}
	slices.SortStableFunc(off, func(a, b *Agent) int { return cmp.Compare(b.Clock.Ahead.Abs(), a.Clock.Ahead.Abs()) })
	var parts []string
	for _, a := range off {
		way := "ahead"
		if a.Clock.Ahead < 0 {
			way = "behind"
		}
		parts = append(parts, fmt.Sprintf("%s's was %s %s", t.host(a.Element), human.Duration(a.Clock.Ahead.Abs()), way))
	}
	s := strings.Join(some(parts, 3), ", ")
	if len(odd) > 0 {
		if s != "" {
			s += "; "
		}
		s += "what came before what contradicts the comparison on " + strings.Join(some(odd, 3), ", ") + ": a clock was set meanwhile"
	}
	return s
}

// unreached says which nodes reached no listener.
func (t *textReport) unreached() string {
	var who []string
	why := ""
	for _, a := range t.run.Agents {
		if a.NoListener != "" {
			who = append(who, t.host(a.Element))
			why = a.NoListener
		}
	}
	if len(who) == 0 {
		return ""
	}
	return fmt.Sprintf("no listener was reached from %s: %s", strings.Join(some(who, 3), ", "), human.Escape(why))
}
