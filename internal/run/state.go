package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
	"muster/internal/rundir"
)

// Standing is how a run stands.
type Standing struct {
	State    job.State
	Reason   string // why it is pending, or why it is not simply completed
	Unfit    *Unfit // none of its elements could begin on their nodes
	Arrays   []ArrayStanding
	Deaf     error // the engine did not answer: State is what the journals tell, and Ended is not known
	Snapshot *rundir.Snapshot
	Ended    bool // nothing of it is queued or running
	EndedAt  time.Time
}

// Completed, Failed and Lost count tasks; what is cancelled or never started is
// neither.
func (s *Standing) Completed() int { return s.Snapshot.Counts[job.Completed] }

// Failed counts the tasks that failed by themselves.
func (s *Standing) Failed() int {
	n := 0
	for state, k := range s.Snapshot.Counts {
		if state.Failure() {
			n += k
		}
	}
	return n
}

// Lost counts the tasks that ended with their agent or instance.
func (s *Standing) Lost() int { return s.Snapshot.Counts[job.Lost] }

// arrays is what the engines say about a run's submissions.
type arrays struct {
	subs    []rundir.Submission
	reports map[int]engine.Report // by generation
	deaf    error                 // why there is no report of some
	cancel  bool                  // somebody has asked for the end of the run since the last submission
}

// submissions are a run's submissions. Whoever was killed between submitting and
// noting it has left an intent only: then the engine is asked for what it has with that tag.
func (c *Conductor) submissions(ctx context.Context, r *rundir.Run) ([]rundir.Submission, error) {
	subs, err := r.Submissions()
	if err != nil {
		return nil, err
	}
	for i, s := range subs {
		if !s.Open() {
			continue
		}
		e, err := c.engineOf(s.Engine)
		if err != nil {
			return subs, err
		}
		ids, err := e.Find(ctx, s.Tag)
		if err != nil {
			return subs, engineError(s.Engine, "asking what became of a submission", err)
		}
		for _, id := range ids {
			subs[i].IDs = append(subs[i].IDs, string(id))
		}
	}
	return subs, nil
}

// silent reports whether an error means that an engine cannot be asked just now, or not
// from here; what is known without it still counts.
func silent(err error) bool {
	return errors.Is(err, engine.ErrUnavailable) || errors.Is(err, engine.ErrMissing)
}

// arrays are a run's submissions and how they stand. An engine that does not
// answer is in arrays.deaf, and no error.
func (c *Conductor) arrays(ctx context.Context, r *rundir.Run) (*arrays, error) {
	subs, err := c.submissions(ctx, r)
	if err != nil {
		if silent(err) {
			return &arrays{subs: subs, reports: map[int]engine.Report{}, deaf: err}, nil
		}
		return nil, err
	}
	a, err := c.ask(ctx, subs)
	if err == nil {
		a.cancel = cancelAsked(r, subs)
	}
	return a, err
}

// cancelAsked reports whether somebody has asked for the end of the run since it was
// last submitted. A request that cannot be read is none.
func cancelAsked(r *rundir.Run, subs []rundir.Submission) bool {
	if len(subs) == 0 {
		return false
	}
	requests, _ := r.Requests(subs[len(subs)-1].LastRequest).Poll()
	return slices.ContainsFunc(requests, func(q rundir.Request) bool { return q.Op == job.OpCancel && q.Tasks == nil })
}

// ask asks the engines about all submissions; one query an engine.
func (c *Conductor) ask(ctx context.Context, subs []rundir.Submission) (*arrays, error) {
	a := &arrays{subs: subs, reports: map[int]engine.Report{}}
	byEngine := map[string][]rundir.Submission{}
	for _, s := range subs {
		if len(s.IDs) > 0 {
			byEngine[s.Engine] = append(byEngine[s.Engine], s)
		}
	}
	for name, list := range byEngine {
		e, err := c.engineOf(name)
		if err != nil {
			return nil, err
		}
		ids := make([]engine.ID, len(list))
		for i, s := range list {
			ids[i] = engine.ID(s.IDs[0])
		}
		reports, err := e.Status(ctx, ids...)
		if err != nil {
			err = engineError(name, "asking how arrays stand", err)
			if !silent(err) {
				return nil, err
			}
			a.deaf = err
			continue
		}
		for i, s := range list {
			a.reports[s.Generation] = reports[i]
		}
	}
	return a, nil
}

// alive is for LoadOptions.Alive: an agent lives as long as its element does.
func (a *arrays) alive(s rundir.AgentState) bool {
	r, known := a.reports[s.ID.Generation]
	if !known && a.deaf != nil {
		return true
	}
	if !known || r.State.Ended() {
		return false
	}
	i := s.ID.Element - 1
	return i < 0 || i >= len(r.Elements) || !r.Elements[i].State.Ended()
}

// live lists the arrays that have not ended, as far as is known.
func (a *arrays) live() []rundir.Submission {
	return slices.DeleteFunc(slices.Clone(a.subs), func(s rundir.Submission) bool {
		r, known := a.reports[s.Generation]
		if !known && a.deaf != nil {
			return s.Refused != ""
		}
		return !known || r.State.Ended()
	})
}

// Stand tells how a run stands. opt.Alive is set here. That an engine does not
// answer is no error, but Standing.Deaf.
func (c *Conductor) Stand(ctx context.Context, r *rundir.Run, opt rundir.LoadOptions) (*Standing, error) {
	a, err := c.arrays(ctx, r)
	if err != nil {
		return nil, err
	}
	opt.Alive = a.alive
	snap, err := r.Load(ctx, opt)
	if err != nil {
		return nil, err
	}
	return a.judge(snap), nil
}

// judge gives the verdict on what the journals and the engines say.
//
//	PENDING ─▶ RUNNING ◀─▶ SUSPENDED   somebody asked for it
//	              ├─▶ COMPLETED   every task, and the reducer
//	              ├─▶ FAILED      tasks or the reducer failed (--fail-on)
//	              ├─▶ TIMEOUT     the time was over; resume goes on
//	              ├─▶ CANCELLED   somebody asked for it
//	              └─▶ NODE_FAIL   agents died; resume goes on
func (a *arrays) judge(snap *rundir.Snapshot) *Standing {
	if snap.Reduce != nil && snap.Agents[snap.ReduceAgent].ID.Generation < a.last(rundir.SubmitMap) {
		// It speaks of what there was before the map went on.
		snap.Reduce, snap.ReduceAgent = nil, -1
	}
	s := &Standing{Snapshot: snap, Arrays: a.standings(), Deaf: a.deaf}
	if live := a.live(); len(live) > 0 && !(a.deaf != nil && over(snap)) {
		s.State = job.Pending
		for _, sub := range live {
			r, known := a.reports[sub.Generation]
			if !known {
				s.Reason = "its engine does not answer just now"
				continue
			}
			if r.State != job.Pending {
				s.State, s.Reason = r.State, ""
				break
			}
			s.Reason = r.Reason
		}
		// Agents tell sooner than a scheduler that is asked now and then.
		if s.State == job.Pending && slices.ContainsFunc(snap.Agents, func(ag rundir.AgentState) bool {
			return ag.Alive || ag.ID.Generation == live[0].Generation && ag.Finished && ag.Why != wordsTime
		}) {
			s.State, s.Reason = job.Running, ""
		}
		// Between map and reduce nothing runs for a moment.
		if s.State == job.Pending && len(snap.Agents) > 0 && len(live) < len(a.subs) {
			s.State, s.Reason = job.Running, ""
		}
		if s.State == job.Running && standsStill(snap) {
			s.State, s.Reason = job.Suspended, fmt.Sprintf("somebody has asked for it; muster continue %d goes on with it", snap.Run)
		}
		return s
	}
	s.Ended = true
	s.EndedAt = lastSign(snap)
	s.State, s.Reason = a.verdict(snap)
	s.Unfit = a.unfit(snap)
	return s
}

// over reports whether the journals alone prove that a run has ended.
func over(snap *rundir.Snapshot) bool {
	for state, n := range snap.Counts {
		if n > 0 && (!state.Ended() || state == job.Lost) {
			return false
		}
	}
	for _, ag := range snap.Agents {
		if !ag.Finished {
			return false
		}
	}
	return len(snap.Agents) > 0 && (snap.Spec.Reducer == "" || snap.Reduce != nil)
}

// standsStill reports whether every agent that lives has been asked to let nothing run.
func standsStill(snap *rundir.Snapshot) bool {
	still := false
	for _, ag := range snap.Agents {
		if !ag.Alive {
			continue
		}
		if !ag.Stopped {
			return false
		}
		still = true
	}
	return still
}

func (a *arrays) verdict(snap *rundir.Snapshot) (job.State, string) {
	if n := len(a.subs); n > 0 && a.subs[n-1].Refused != "" && len(a.subs[n-1].IDs) == 0 {
		return job.NodeFail, "the engine refused it: " + a.subs[n-1].Refused
	}
	if u := a.unfit(snap); u != nil {
		return job.NodeFail, u.Why + "; " + u.Do
	}
	for _, s := range a.subs { // which the engine may have forgotten
		if s.Generation == a.last(rundir.SubmitMap) && s.Refused != "" {
			return job.NodeFail, s.Refused
		}
	}
	total, done := snap.Len(), snap.Counts[job.Completed]
	failed := 0
	for state, n := range snap.Counts {
		if state.Failure() {
			failed += n
		}
	}
	switch left := total - done - failed; {
	case a.last(rundir.SubmitMap) == 0 && done < total:
		return job.NodeFail, "it was never submitted"
	case left > 0:
		return a.unfinished(snap, left)
	}
	failOn, err := job.ParseFailOn(snap.Spec.FailOn)
	if err != nil {
		failOn = job.FailOn{} // the strictest
	}
	if failOn.Fails(failed, total) {
		return job.Failed, fmt.Sprintf("%d of %d %s failed", failed, total, nouns(snap))
	}
	if snap.Spec.Reducer == "" {
		return job.Completed, ""
	}
	return a.reduced(snap)
}

// unfinished is the verdict on a run of which so many tasks were neither completed
// nor failed.
func (a *arrays) unfinished(snap *rundir.Snapshot, left int) (job.State, string) {
	total, why := snap.Len(), a.lastWords(snap)
	switch {
	case a.cancelled(snap, why):
		return job.Cancelled, fmt.Sprintf("cancelled with %d of %d %s not done", left, total, nouns(snap))
	case snap.Spec.Launch != nil && (why == wordsTime || a.reports[a.last(rundir.SubmitMap)].State == job.Timeout):
		return job.Timeout, fmt.Sprintf("its time was over before %d of %d programs were done", left, total)
	case why == wordsTime, a.reports[a.last(rundir.SubmitMap)].State == job.Timeout:
		return job.Timeout, fmt.Sprintf("its time was over with %d of %d tasks not done; muster resume %d goes on with them", left, total, snap.Run)
	case a.unfitNode(snap) != nil:
		return job.NodeFail, fmt.Sprintf("%d of %d %s not done: %s", left, total, nouns(snap), a.unfitNode(snap).Why)
	case why == wordsStopped:
		return job.NodeFail, fmt.Sprintf("its agent was stopped with %d of %d %s not done", left, total, nouns(snap))
	case why == wordsDone && left == snap.Counts[job.Lost] && snap.Spec.Launch != nil:
		return job.Failed, fmt.Sprintf("%d of %d programs lost the instances that they ran in; --restart N starts such anew", left, total)
	case why == wordsDone && left == snap.Counts[job.Lost]:
		return job.NodeFail, fmt.Sprintf("%d of %d tasks lost the instances that they ran in, again and again", left, total)
	case (why == wordsNone || why == wordsDone) && a.lostElements() != "":
		return job.NodeFail, fmt.Sprintf("%d of %d %s not done: %s", left, total, nouns(snap), a.lostElements())
	case why == wordsNone, why == wordsDone:
		return job.NodeFail, fmt.Sprintf("its agent ended with %d of %d %s not done", left, total, nouns(snap))
	case why == wordsFailed:
		return job.Failed, lastNote(snap)
	}
	return job.Failed, why
}

// lostElements is what the engine says of the newest map's elements that it has lost; "": it has lost none.
func (a *arrays) lostElements() string {
	first, n := "", 0
	for _, el := range a.reports[a.last(rundir.SubmitMap)].Elements {
		if el.State != job.NodeFail || el.Exit.Detail == "" {
			continue
		}
		if n++; n == 1 {
			first = el.Exit.Detail
		}
	}
	if n > 1 {
		return fmt.Sprintf("%s, and %d more", first, n-1)
	}
	return first
}

// nouns is what the tasks of a run are for a person.
func nouns(snap *rundir.Snapshot) string {
	if snap.Spec.Launch != nil {
		return "programs"
	}
	return "tasks"
}

// reduced is the verdict on a run whose tasks are well.
func (a *arrays) reduced(snap *rundir.Snapshot) (job.State, string) {
	switch r := snap.Reduce; {
	case r == nil && a.reports[a.last(rundir.SubmitReduce)].State == job.Cancelled:
		return job.Cancelled, "cancelled before the reducer had run"
	case r == nil:
		return job.NodeFail, "the reducer was not run"
	case !r.Ran:
		return job.Failed, "the reducer was not run: " + r.Why
	case r.State == job.Cancelled:
		return job.Cancelled, "cancelled while the reducer ran"
	case r.State != job.Completed && r.Exit.Detail == "":
		return job.Failed, fmt.Sprintf("the reducer failed: exit code %d", r.Exit.Code)
	case r.State != job.Completed:
		return job.Failed, "the reducer failed: " + r.Exit.Detail
	}
	return job.Completed, ""
}

// last is the newest generation of that kind that an engine has taken; 0: none.
func (a *arrays) last(kind rundir.SubmissionKind) int {
	for _, s := range slices.Backward(a.subs) {
		if s.Kind == kind && len(s.IDs) > 0 {
			return s.Generation
		}
	}
	return 0
}

// cancelled tells whether tasks are left because somebody wanted it so. An agent
// that is told to stop does not know why; the engine does, unless it has forgotten.
func (a *arrays) cancelled(snap *rundir.Snapshot, why string) bool {
	if strings.HasPrefix(why, wordsCancelled) {
		return true
	}
	switch a.reports[a.last(rundir.SubmitMap)].State {
	case job.Cancelled:
		return true
	case job.Gone:
		if a.cancel {
			return true
		}
	case job.NodeFail, job.Failed, job.Timeout: // the supervisor or the keeper was killed, or the time was over
		return false
	}
	switch why {
	case wordsStopped:
		return true
	case wordsNone, wordsDone:
		return snap.Counts[job.Cancelled] > 0 // single tasks
	}
	return false // it had a reason of its own
}

// How agents end their journals; anything else is a reason in their own words.
const (
	wordsNone      = "" // it did not: it was killed
	wordsDone      = "done"
	wordsStopped   = "stopped"
	wordsFailed    = "failed"
	wordsTime      = "out of time" // of the allocation
	wordsCancelled = "cancelled"   // by somebody
)

// lastWords is why the agents of the newest map ended: the one who was not done,
// where there are several. What killed agents have left was recorded by others, who have no lanes.
func (a *arrays) lastWords(snap *rundir.Snapshot) string {
	newest := map[int]rundir.AgentState{} // by element
	for _, ag := range snap.Agents {
		if ag.Lanes > 0 && ag.ID.Generation == a.last(rundir.SubmitMap) && ag.ID.Incarnation > newest[ag.ID.Element].ID.Incarnation {
			newest[ag.ID.Element] = ag
		}
	}
	words := wordsNone
	for _, element := range slices.Sorted(maps.Keys(newest)) {
		switch ag := newest[element]; {
		case !ag.Finished:
			return wordsNone
		case words == wordsNone || words == wordsDone:
			words = ag.Why
		}
	}
	return words
}

func lastNote(snap *rundir.Snapshot) string {
	if n := len(snap.Notes); n > 0 {
		return snap.Notes[n-1].Text
	}
	return "the agent failed; its log is in the run's logs folder"
}

func lastSign(snap *rundir.Snapshot) time.Time {
	var t time.Time
	for i := range snap.Agents {
		if end := snap.Clock(i, snap.Agents[i].Last); end.After(t) {
			t = end
		}
	}
	return t
}

// Seconds is how long the run took, from its first submission to its end, or
// until now.
func (s *Standing) Seconds() float64 {
	if len(s.Snapshot.Submissions) == 0 {
		return 0
	}
	end := s.EndedAt
	switch {
	case !s.Ended:
		end = time.Now()
	case end.IsZero(): // nothing of it has ever run
		return 0
	}
	return max(0, end.Sub(s.Snapshot.Submissions[0].At).Seconds())
}
