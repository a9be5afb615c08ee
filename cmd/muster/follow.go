package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/job"
	"muster/internal/plan"
	"muster/internal/run"
	"muster/internal/rundir"
	"muster/internal/ui"
	"muster/internal/ui/human"
)

// conduct carries out muster map and muster launch.
func (a *app) conduct(cmd *cobra.Command, req run.Request, f runFlags) error {
	var announced []string // when there is something wrong, that alone is said
	c, err := a.conductor(func(line string) { announced = append(announced, line) })
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	prep, err := c.Prepare(ctx, req)
	if err != nil {
		return err
	}
	progress, err := a.progress(f.quiet || f.dryRun)
	if err != nil {
		return err
	}
	defer progress.Close()
	c.Tell = a.teller(progress, f.quiet)
	for _, line := range append(announced, prep.Plan.Notes...) {
		c.Tell(line)
	}
	room, err := a.foresee(prep)
	if err != nil {
		return err
	}
	if f.dryRun {
		if err := a.dryRun(c, prep); err != nil {
			return err
		}
		a.print().Out.Print(room.text())
		return room.refusal()
	}
	if err := room.refusal(); err != nil {
		return err
	}
	var r *rundir.Run
	err = a.preparing(ctx, c, progress, func(ctx context.Context) (err error) {
		r, err = c.Submit(ctx, prep)
		return a.noSpace(err)
	})
	if err != nil && r != nil && req.Launch != nil {
		return fmt.Errorf("run %d was begun, but not whole (muster cancel %d ends it, muster rm %d forgets it): %w", r.Number, r.Number, r.Number, err)
	}
	if err != nil && r != nil {
		return fmt.Errorf("run %d was begun, but not whole (muster resume %d goes on with it, muster rm %d forgets it): %w", r.Number, r.Number, r.Number, err)
	}
	if err != nil {
		return err
	}
	stop() // from here on signals mean what follow says
	if req.Launch != nil && req.Launch.Hold == nil && !f.detach {
		c.Tell("the programs run until they end by themselves; Ctrl-C twice takes them down")
	}
	o := followOptions{json: f.json, quiet: f.quiet, conduct: true}
	if f.detach {
		progress.Close()
		return a.detached(r, o, f.held)
	}
	return a.follow(c, r, progress, o)
}

// noSpace puts into one line that there is no room for a run's folder.
func (a *app) noSpace(err error) error {
	var at *fs.PathError
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	if !full || !errors.As(err, &at) || !strings.HasPrefix(at.Path, a.cfg.Text("state")) {
		return err
	}
	return &ui.Problem{
		Message: "there is no space left for the run, or your quota is used up, in " + a.cfg.Text("state"), Code: "no-space", Err: err,
		Try: []string{"muster rm --older 30d", "--state DIR keeps runs elsewhere"},
	}
}

// teller prints announcements: on the error stream, above or in what progress
// shows there.
func (a *app) teller(progress *ui.Progress, quiet bool) func(string) {
	switch {
	case quiet:
		return func(string) {}
	case a.cfg.Text("progress") == string(ui.ProgressJSON):
		return progress.Note
	}
	return func(line string) { a.print().Err.Printf("%s\n", human.Escape(line)) }
}

// preparing shows the long step that submitting may be: building an image.
func (a *app) preparing(ctx context.Context, c *run.Conductor, progress *ui.Progress, f func(context.Context) error) error {
	return progress.Do(ctx, "building the image", 0, func(ctx context.Context, step func(string)) error {
		c.Step = step
		return f(ctx)
	})
}

func (a *app) detached(r *rundir.Run, o followOptions, held bool) error {
	p := a.print()
	switch {
	case o.json:
		return a.printJSON(map[string]any{"version": 1, "run": r.Number, "state": job.Pending})
	case o.quiet:
		p.Out.Printf("%d\n", r.Number)
	case held:
		p.Out.Printf("run %d is held; muster release %d lets it start\n", r.Number, r.Number)
	default:
		p.Out.Printf("run %d goes on by itself; muster wait %d follows it, muster cancel %d ends it\n", r.Number, r.Number, r.Number)
	}
	return nil
}

// dryRun prints the plan.
func (a *app) dryRun(c *run.Conductor, prep *run.Prepared) error {
	s := prep.Spec
	sample := plan.Sample{Task: 1, Argv: prep.SampleArgv()}
	add := func(name, value string) { sample.Params = append(sample.Params, plan.Param{Name: name, Value: value}) }
	add("guest", s.Guest)
	if s.Boot != "" && s.Guest == "wine" {
		add("boot", s.Boot)
	}
	add("isolation", string(s.Isolation))
	add("program", s.Program)
	if s.Output != "" {
		add("output", s.Output)
	}
	if s.Timeout > 0 {
		add("timeout", job.FormatDuration(s.Timeout))
	}
	if s.Reducer != "" {
		add("reducer", s.Reducer+" → "+s.ReducerOut)
	}
	add("engine", s.Engine)
	if err := prep.Plan.Print(a.print().Out, sample); err != nil {
		return err
	}
	shown, err := c.Show(prep)
	if err != nil {
		return err
	}
	p := a.print()
	for _, s := range shown {
		when := ""
		if s.Step == string(rundir.SubmitReduce) {
			when = ", to be started when the map's array has ended,"
		}
		p.Out.Printf("\nFor the %s step %s is given%s\n  %s\n", s.Step, prep.Spec.Engine, when, human.Escape(job.QuoteWords(s.Argv)))
		p.Out.Printf("with this script\n")
		for line := range strings.Lines(s.Script) {
			p.Out.Printf("  %s\n", human.Escape(strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", "    ")))
		}
	}
	return nil
}

// followOptions say how to follow a run.
type followOptions struct {
	json, quiet bool
	conduct     bool // this process submitted the run
}

// follow watches a run to its end and gives the verdict as the exit code. Ctrl-C
// asks once, then cancels; a closed terminal leaves the run alone.
func (a *app) follow(c *run.Conductor, r *rundir.Run, progress *ui.Progress, o followOptions) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if o.conduct {
		heart, err := r.Conduct(ctx, hostname(), os.Getpid())
		switch {
		case err == nil:
			defer heart.Close()
		case !errors.Is(err, rundir.ErrBusy): // a resume that looks and will be refused is no reason to stop watching
			return err
		}
	}
	spec, err := r.Spec()
	if err != nil {
		return err
	}
	began := time.Now()
	if subs, err := r.Submissions(); err == nil && len(subs) > 0 {
		began = subs[len(subs)-1].At
	}
	pace := newPace()
	status := func(s *run.Standing) ui.Status {
		st := ui.Status{
			Run: r.Number, Name: spec.Name, Total: s.Snapshot.Len(), Counts: s.Snapshot.Counts,
			Elapsed: time.Since(began), Launch: spec.Launch != nil, Alive: s.Snapshot.Alive(),
		}
		if s.State == job.Pending {
			st.Message = "waiting to be started"
			if s.Reason != "" {
				st.Message += ": " + s.Reason
			}
		}
		pace.fill(&st)
		return st
	}
	end := make(chan *run.Standing, 1)
	fail := make(chan error, 1)
	go func() {
		s, err := c.Watch(ctx, r, func(s *run.Standing) { progress.Update(status(s)) })
		if err != nil {
			fail <- err
			return
		}
		end <- s
	}()
	events, settled := a.events(ctx)
	defer func() { stop(); settled() }() // or the process ends before the terminal has its mode back
	intr := ui.Interrupt{Person: a.print().Err.Terminal(), Detach: true}
	cancelled := false
	for {
		select {
		case s := <-end:
			if a.cfg.Text("progress") == string(ui.ProgressJSON) && !o.quiet {
				progress.Finish(status(s)) // elsewhere the summary says it
			}
			progress.Close()
			if s.Unfit != nil && !o.json {
				return s.Unfit
			}
			return a.verdict(r, s, cancelled, o)
		case err := <-fail:
			progress.Close()
			return err
		case e := <-events:
			act := intr.Handle(e, time.Now())
			if act == ui.ActCancel && !o.conduct && !intr.Person {
				// Nobody has asked for the end of a run that this command only follows.
				progress.Close()
				return exitError(exitInterrupted)
			}
			switch act {
			case ui.ActAsk:
				progress.Ask(intr.Question())
			case ui.ActDismiss:
				progress.Ask("")
			case ui.ActDetach:
				progress.Close()
				a.print().Err.Printf("run %d goes on by itself; muster wait %d follows it\n", r.Number, r.Number)
				return nil
			case ui.ActCancel:
				progress.Ask("")
				progress.Note("cancelling")
				cancelled = true
				if err := c.Cancel(ctx, r, nil); err != nil {
					progress.Note("cancelling: " + err.Error())
				}
			case ui.ActLeave:
				progress.Close()
				return exitError(exitInterrupted)
			}
		}
	}
}

// events are signals, keys and the passing of time, as an Interrupt wants them.
// settled is called when ctx has ended, and returns when the terminal is as it was.
func (a *app) events(ctx context.Context) (_ <-chan ui.InterruptEvent, settled func()) {
	events := make(chan ui.InterruptEvent, 16)
	var keys sync.WaitGroup
	tell := func(e ui.InterruptEvent) {
		select {
		case events <- e:
		default: // more than anybody can mean
		}
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		defer signal.Stop(signals)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case s := <-signals:
				switch s {
				case os.Interrupt:
					tell(ui.EventInterrupt)
				case syscall.SIGHUP:
					tell(ui.EventHangup)
				default:
					tell(ui.EventTerminate)
				}
			case <-tick.C:
				tell(ui.EventTick)
			case <-ctx.Done():
				return
			}
		}
	}()
	if a.print().Err.Terminal() {
		keys.Go(func() {
			// Without a keyboard of its own, Ctrl-C twice still works.
			_ = ui.Keys(ctx, os.Stdin, func(b byte) { tell(ui.KeyEvent(b)) })
		})
	}
	return events, keys.Wait
}

func hostname() string {
	h, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return h
}
