package report

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"muster/internal/job"
	"muster/internal/ui/human"
)

// what says in a few words what happened to the tasks of a group: it follows
// "3 of 500 tasks". Where one task is meant, it reads as well.
func (r *Report) what(g *Group) string {
	switch g.Cause {
	case job.CauseExit:
		return "ended with exit code " + list(g.Codes, func(c int) string { return fmt.Sprint(c) })
	case job.CauseSignal:
		return "ended by signal " + list(g.Signals, signalName)
	case job.CauseNoOutput:
		return "ended with exit code 0 but left no output"
	case job.CauseOutputExists:
		return "found the output's name taken"
	case job.CausePublish:
		return "could not put the output under its name"
	case job.CauseTimeout:
		if t := r.run.Spec.Timeout; t > 0 {
			return "ran longer than --timeout " + flagDuration(t)
		}
		return "ran too long"
	case job.CauseCancelled:
		return "cancelled"
	case job.CauseStart:
		return "could not be started"
	case job.CauseBoot:
		return "got no instance: it did not come up"
	case job.CauseInstance:
		return "ended when the instance under the program did"
	case job.CauseCrash:
		return "crashed"
	case job.CauseMissingDLL:
		return "lacked a DLL"
	case job.CauseCannotLoad:
		return "could not be loaded"
	case job.CauseOOM:
		if m := r.run.Spec.Mem; m > 0 {
			return "ran out of memory at --mem " + job.FormatMemory(m)
		}
		return "ran out of memory"
	case job.CauseInput:
		return "found the input gone"
	case job.CauseAgentLost:
		return "lost when the agent ended"
	case job.CauseNotReady:
		return "not alive in time"
	case job.CauseMaxFails:
		return fmt.Sprintf("not started: --max-fails %d was reached", r.run.Spec.MaxFails)
	case job.CauseBatch:
		return "failed because their call did"
	case job.CauseGivenBack:
		return "given back when the time was nearly over"
	case job.CauseSuperseded:
		return "left to a newer agent"
	case job.CauseInternal:
		return "failed through a fault of muster's own"
	}
	return "ended badly"
}

// try is the command that tells more about a group, or does something about it.
func (r *Report) try(g *Group) string {
	switch g.Cause {
	case job.CauseMissingDLL, job.CauseCannotLoad:
		return "muster check " + job.QuoteWord(r.run.Spec.Program)
	case job.CauseOutputExists:
		return "ls -l " + job.QuoteWord(r.run.Spec.Output)
	case job.CausePublish:
		return "df -h " + job.QuoteWord(r.run.Spec.Output)
	case job.CauseInput:
		return "ls -l " + job.QuoteWord(r.run.Spec.Input)
	case job.CauseBoot, job.CauseAgentLost, job.CauseGivenBack, job.CauseSuperseded, job.CauseInternal:
		return "muster explain " + string(g.Cause)
	case job.CauseCancelled, job.CauseMaxFails:
		return ""
	}
	if g.Example.Attempt == 0 {
		return ""
	}
	return fmt.Sprintf("muster logs %d_%d", r.run.Number, g.Example.Task)
}

// retry is the command that runs the group's tasks again; "" while the run is
// under way, when nothing can be resumed.
func (r *Report) retry(g *Group) string {
	if !r.run.State.Ended() || r.run.Spec.Launch != nil {
		return ""
	}
	if g.State.Failure() {
		return fmt.Sprintf("muster resume %d --failed", r.run.Number)
	}
	return fmt.Sprintf("muster resume %d", r.run.Number)
}

// cause is the line of a group that says what lies behind it.
func (g *Group) cause() string {
	s := human.Escape(g.Detail)
	if g.Details > 1 {
		s += fmt.Sprintf(" (the commonest of %d)", g.Details)
	}
	return s
}

// where names the hosts with their counts, when the run had several.
func (r *Report) where(g *Group) string {
	if len(g.Hosts) == 0 || len(g.Hosts) == 1 && r.hosts() < 2 {
		return ""
	}
	const most = 4
	var parts []string
	for i, h := range g.Hosts {
		if i == most {
			parts = append(parts, fmt.Sprintf("%d more hosts", len(g.Hosts)-most))
			break
		}
		parts = append(parts, fmt.Sprintf("%s: %d", human.Line(h.Name, 60), h.Count))
	}
	return strings.Join(parts, ", ")
}

// hosts counts the hosts of the run.
func (r *Report) hosts() int {
	seen := map[string]bool{}
	for _, h := range r.run.Hosts {
		seen[h] = true
	}
	return len(seen)
}

// log is the last line of what the group's example wrote, with its task.
func (r *Report) log(g *Group) string {
	lines := strings.Split(strings.TrimSpace(g.Example.LogTail), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if last == "" {
		return ""
	}
	s := fmt.Sprintf("%d_%d", r.run.Number, g.Example.Task)
	if g.Example.Host != "" {
		s += " on " + human.Line(g.Example.Host, 60)
	}
	return s + fmt.Sprintf(": \"%s\"", human.Line(last, 200))
}

// list writes numbers with their names: "1, 2 or 3".
func list(ns []int, name func(int) string) string {
	var parts []string
	for i, n := range ns {
		if i == 6 && len(ns) > 7 {
			parts = append(parts, fmt.Sprintf("%d others", len(ns)-6))
			break
		}
		parts = append(parts, name(n))
	}
	if n := len(parts); n > 1 {
		return strings.Join(parts[:n-1], ", ") + " or " + parts[n-1]
	}
	return strings.Join(parts, "")
}

func signalName(n int) string {
	if s := unix.SignalName(unix.Signal(n)); s != "" {
		return fmt.Sprintf("%d (%s)", n, s)
	}
	return fmt.Sprint(n)
}
