package bench

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"muster/internal/ui/human"
)

// What the published experiment with VM jobs went up to.
const (
	PublishedJobs    = 16
	PublishedPerJob  = 8
	PublishedRepeats = 10
)

// A Scene is one scenario of the experiment with VM jobs: so many jobs, each with so many
// VMs that share the job's place.
type Scene struct{ Jobs, PerJob int }

// VMs is how many guests there are in all.
func (s Scene) VMs() int { return s.Jobs * s.PerJob }

func (s Scene) String() string {
	return human.Plural(s.Jobs, "job") + " × " + human.Plural(s.PerJob, "VM")
}

// Scenes are all scenarios with at most so many jobs and VMs for each, by the number of
// guests: what does not fit one of them fits none that follows.
func Scenes(jobs, perJob int) []Scene {
	var out []Scene
	for _, j := range Counts(jobs) {
		for _, k := range Counts(perJob) {
			out = append(out, Scene{j, k})
		}
	}
	slices.SortFunc(out, func(a, b Scene) int { return cmp.Or(cmp.Compare(a.VMs(), b.VMs()), cmp.Compare(a.Jobs, b.Jobs)) })
	return out
}

// VMRoom bounds which scenarios are measured.
type VMRoom struct {
	Memory  int64         // bytes that guests may take; 0: not known
	Each    int64         // bytes that a guest takes
	CPUs    int           // that guests share; of a cluster at least one for each node
	Longest time.Duration // that one launch may take
}

// QEMUTakes is about what QEMU itself takes beside its guest's memory.
const QEMUTakes = 40 << 20

// Takes estimates a launch: one is what a VM takes that is alone, and none goes on
// while another has its CPU.
func (r VMRoom) Takes(s Scene, one time.Duration) time.Duration {
	turns := float64(s.VMs()) / float64(max(r.CPUs, 1))
	return time.Duration(max(turns, 1) * float64(one))
}

// Against says why a scenario is left out; "" when it is not.
func (r VMRoom) Against(s Scene, one time.Duration) string {
	if need := int64(s.VMs()) * r.Each; r.Memory > 0 && need > r.Memory {
		return fmt.Sprintf("%s take %s of memory, and %s can be had", human.Plural(s.VMs(), "guest"), human.Memory(need), human.Memory(r.Memory))
	}
	if took := r.Takes(s, one); took > r.Longest {
		return fmt.Sprintf("a launch would take about %s, and --longest is %s", human.Duration(took), human.Duration(r.Longest))
	}
	return ""
}

// A VMPlan is what is measured of one series, and what is left out.
type VMPlan struct {
	Series   string
	Scenes   []Scene
	Left     []Scene
	Why      string // the first of Left is left out, and so all that follow
	Estimate time.Duration
}

// Plan settles which of the scenes a series is measured with, where one VM alone takes so long.
func (r VMRoom) Plan(series string, scenes []Scene, repeats int, one time.Duration) VMPlan {
	p := VMPlan{Series: series, Scenes: scenes}
	for i, s := range scenes {
		if why := r.Against(s, one); why != "" {
			p.Scenes, p.Left, p.Why = scenes[:i], scenes[i:], why
			break
		}
		p.Estimate += time.Duration(repeats) * r.Takes(s, one)
	}
	return p
}

// LeftOut says in a line what is not measured; "" when everything is.
func (p VMPlan) LeftOut() string {
	if len(p.Left) == 0 {
		return ""
	}
	if len(p.Scenes) == 0 {
		return fmt.Sprintf("%s: %s", p.Series, p.Why)
	}
	if len(p.Left) == 1 {
		return fmt.Sprintf("%s: %s: %s", p.Series, p.Left[0], p.Why)
	}
	return fmt.Sprintf("%s: %s and %s more: %s", p.Series, p.Left[0], human.Plural(len(p.Left)-1, "scenario"), p.Why)
}
