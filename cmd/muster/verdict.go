package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"muster/internal/job"
	"muster/internal/report"
	"muster/internal/run"
	"muster/internal/rundir"
)

// verdict prints how a run ended and returns the exit code.
func (a *app) verdict(r *rundir.Run, s *run.Standing, cancelled bool, o followOptions) error {
	switch {
	case o.json:
		if err := a.printResult(r, s); err != nil {
			return err
		}
	case o.quiet:
		a.print().Out.Printf("%d\n", r.Number)
	default:
		if err := a.summary(r, s); err != nil {
			return err
		}
	}
	switch {
	case s.State == job.Completed:
		return nil
	case s.Unfit != nil:
		return exitError(exitLacking)
	case cancelled:
		return exitError(exitInterrupted)
	}
	return exitError(exitTaskFailed)
}

// result is the object that map --json, wait --json and resume --json print at
// the end.
type result struct {
	Version   int       `json:"version"`
	Run       int       `json:"run"`
	State     job.State `json:"state"`
	Reason    string    `json:"reason,omitempty"`
	Tasks     int       `json:"tasks"`
	Completed int       `json:"completed"`
	Failed    int       `json:"failed"`
	Lost      int       `json:"lost"`
	Cancelled int       `json:"cancelled"`
	Pending   int       `json:"pending"`
	Seconds   float64   `json:"seconds"`
	Output    string    `json:"output,omitempty"`
	Reduced   string    `json:"reduced,omitempty"` // what the reducer wrote
	Directory string    `json:"directory"`         // the run's
}

func mapResult(r *rundir.Run, s *run.Standing) result {
	res := result{
		Version: 1, Run: r.Number, State: s.State, Reason: s.Reason, Tasks: s.Snapshot.Len(),
		Completed: s.Completed(), Failed: s.Failed(), Lost: s.Lost(),
		Cancelled: s.Snapshot.Counts[job.Cancelled], Pending: s.Snapshot.Counts[job.Pending],
		Seconds: s.Seconds(), Output: s.Snapshot.Spec.Output, Directory: r.Dir,
	}
	if red := s.Snapshot.Reduce; red != nil && red.State == job.Completed && red.Output != nil {
		res.Reduced = s.Snapshot.Spec.ReducerOut
	}
	return res
}

// launchResult is what launch --json prints at the end, and wait --json for a launch.
type launchResult struct {
	Version       int                `json:"version"`
	Run           int                `json:"run"`
	State         job.State          `json:"state"`
	Reason        string             `json:"reason,omitempty"`
	Programs      int                `json:"programs"`
	Instances     int                `json:"instances"`
	AliveMax      int                `json:"alive_max"`      // most at the same time
	LaunchSeconds float64            `json:"launch_seconds"` // from the submission until so many were alive
	RatePerS      float64            `json:"rate_per_s"`     // alive_max by launch_seconds
	BytesEach     int64              `json:"bytes_each"`     // memory, servers and all; 0: not known
	Completed     int                `json:"completed"`
	Failed        int                `json:"failed"`
	Lost          int                `json:"lost"`
	Cancelled     int                `json:"cancelled"`
	Seconds       float64            `json:"seconds"`
	Phases        map[string]float64 `json:"phases"` // seconds
	Directory     string             `json:"directory"`
}

// printResult prints how a run ended as one JSON object.
func (a *app) printResult(r *rundir.Run, s *run.Standing) error {
	if s.Snapshot.Spec.Launch == nil {
		return a.printJSON(mapResult(r, s))
	}
	rep, err := reportOf(r, s)
	if err != nil {
		return err
	}
	l, _ := rep.Launch()
	res := launchResult{
		Version: 1, Run: r.Number, State: s.State, Reason: s.Reason, Programs: l.Programs, Instances: l.Instances, AliveMax: l.AliveMax,
		LaunchSeconds: l.After.Seconds(), RatePerS: math.Round(l.Rate*1000) / 1000, BytesEach: l.Each,
		Completed: s.Completed(), Failed: s.Failed(), Lost: s.Lost(), Cancelled: s.Snapshot.Counts[job.Cancelled],
		Seconds: s.Seconds(), Phases: map[string]float64{}, Directory: r.Dir,
	}
	for name, d := range l.Phases {
		res.Phases[name] = d.Seconds()
	}
	return a.printJSON(res)
}

func (a *app) printJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	a.print().Out.Printf("%s\n", b)
	return nil
}

// summary tells a person how the run went.
func (a *app) summary(r *rundir.Run, s *run.Standing) error {
	rep, err := reportOf(r, s)
	if err != nil {
		return err
	}
	p := a.print()
	var b bytes.Buffer
	if err := rep.WriteSummary(&b, p.Out.Width()); err != nil {
		return err
	}
	p.Out.Print(b.String())
	return nil
}

// reportOf makes the report of a run whose standing was loaded with everything.
func reportOf(r *rundir.Run, s *run.Standing) (*report.Report, error) {
	tasks, err := r.Tasks()
	if err != nil {
		return nil, err
	}
	known := report.FromSnapshot(s.Snapshot, report.Known{
		Number: r.Number, State: s.State, Reason: s.Reason, Ended: s.EndedAt, Now: time.Now(), Tasks: tasks,
	})
	report.AddLogs(&known, r)
	return report.From(known), nil
}
