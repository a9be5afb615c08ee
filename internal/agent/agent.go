// Package agent is muster on a node: it opens instances, runs the tasks of its
// share in its lanes, publishes their outputs, keeps the journal, and leaves
// nothing behind. It knows guests and the run directory, and no engine.
//
//	keeper ──starts──▶ agent ──lanes──▶ instance ──▶ program
//	                     │
//	                     └─ journal, stream, outputs
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/proc"
	"muster/internal/rundir"
	"muster/internal/scratch"
	"muster/internal/template"
)

// Config is what an agent is started with.
type Config struct {
	RunDir     string
	Generation int
	Element    int
	Scratch    string // made by the keeper
	Namespace  bool   // this process is PID 1 of a namespace of its own, and has to make itself at home
	HostPID    int    // of this process as the host sees it; 0: to be found out
	Reduce     bool   // the array is the reduce step
	Environ    []string
	Began      time.Time        // when the element began, by this node's clock; zero: now
	Warned     <-chan os.Signal // gets the scheduler's warning that the time is nearly over; nil: there is none
	// Guest makes the driver of that name.
	Guest func(name string, table *proc.Table) (guest.Guest, error)
	Log   *slog.Logger
	// Machine is this machine's name, by which other agents know whether they share it; "":
	// as the system says.
	Machine string
	// Patience is after how long without a heartbeat another agent's claims are taken
	// over; 0: rundir.HeartPatience.
	Patience time.Duration
}

// agent is one incarnation at work.
type agent struct {
	Config
	run       *rundir.Run
	spec      job.Spec
	tasks     []job.Task
	share     rundir.Share
	args      *template.Template // nil without a template
	env       []string           // of programs
	token     string
	machine   string            // its own name
	own       rundir.Submission // the one that it belongs to
	table     *proc.Table
	guest     guest.Guest
	traits    guest.Traits
	node      guest.Node
	staged    Staged
	folders   guest.Folders
	inputs    *folders // below folders.In
	works     *folders // below folders.Work
	journal   *rundir.Journal
	stream    *rundir.Stream
	outputs   *rundir.Publisher // nil when the run has no outputs
	queue     *queue
	dealer    *dealer    // nil when the share is the agent's own
	shelf     *shelf     // of instances
	launching *launching // nil when the run is a map
	timing    *timing
	words     *firstWords // nil when nobody wants to hear of them
	publish   *publishing
	sayings   sayings
	heart     *rundir.Heart
	requests  *rundir.Requests
	gone      time.Time // since when the run's folder is out of sight; zero: it is not
	pause     *pause
	stills    sync.Mutex // held while processes are stopped or continued
	time      *walltime

	superseded atomic.Bool // a younger twin has taken over: nothing is published any more
	unfinished atomic.Bool // something that was begun, or was taken from the queue, was left undone

	mu      sync.Mutex
	running map[int]context.CancelCauseFunc // by task: ends the call that it belongs to
	calls   []time.Time                     // when the running calls began, zero where a lane is idle
}

// Why the context of a call ended, when the agent's own goes on.
var (
	errTaskCancelled = errors.New("cancelled by the user")               // one of its tasks
	errRunCancelled  = errors.New("cancelled by the user, with the run") // all of them
	errGivenBack     = errors.New("given back: the time of the allocation was nearly over")
	errFolderGone    = errors.New("the run's folder has gone")
	errSuperseded    = errors.New("a newer incarnation of the agent has taken over")
	errTaken         = errors.New("other agents have taken its chunk over")
)

// Inside runs the agent in the process that a keeper started and returns the
// process's exit code.
func Inside(ctx context.Context, c Config) (int, error) {
	if c.HostPID == 0 {
		c.HostPID = hostPID()
	}
	if c.Namespace {
		if err := settleIn(c); err != nil {
			return exitNoNamespace, err
		}
	}
	lock, keeper := inherited()
	defer lock.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	watch := make(chan struct{})
	go func() {
		defer close(watch)
		select {
		case <-keeper.watch():
			c.Log.Error("the keeper has gone: stopping")
			stop()
		case <-ctx.Done():
		}
	}()
	table, err := proc.NewTable()
	if err != nil {
		return exitFailed, err
	}
	defer table.Close()
	life := work
	if c.Reduce {
		life = reduce
	}
	end, err := life(ctx, c, table)
	stop()
	<-watch
	kill, done := context.WithTimeout(context.Background(), 10*time.Second)
	defer done()
	_, killErr := table.KillAll(kill, c.Namespace)
	// Whoever told the agent to stop may have been quicker than the pipe's end.
	if keeper.gone() {
		err = errors.Join(err, (&scratch.Folder{Dir: c.Scratch, Lock: lock}).Remove())
	}
	switch err := errors.Join(err, killErr); {
	case err != nil:
		return exitFailed, err
	case end == endStopped:
		return exitStopped, nil
	case end == endAgain:
		return job.ExitRequeue, nil
	}
	return exitDone, nil
}

// ending is how an agent's life ended.
type ending int

const (
	endDone    ending = iota // nothing is left for it to do
	endStopped               // it was told to end before its share was done
	endAgain                 // likewise, and it is to be started again
)

// exitFailed: the agent itself failed.
const exitFailed = 4

// hostPID is this process's number as the host sees it, which only the host's
// /proc can tell.
func hostPID() int {
	link, err := os.Readlink("/proc/self")
	if err != nil {
		return 0
	}
	var pid int
	if _, err := fmt.Sscanf(link, "%d", &pid); err != nil {
		return 0
	}
	return pid
}

// work is the agent's life.
func work(ctx context.Context, c Config, table *proc.Table) (ending, error) {
	a, err := open(c, table)
	if err != nil {
		return endStopped, refused(ctx, c, err)
	}
	began := time.Now().Add(-a.staged.Took)
	if c.Began.IsZero() {
		c.Began = began
	}
	a.time = newWalltime(a.spec, c.Environ, c.Began)
	a.node = guest.Node{Scratch: c.Scratch, Image: a.spec.Image, ImageKey: a.spec.ImageKey, Boot: a.spec.Boot, Options: a.spec.GuestOpts, Keep: filepath.Dir(c.Scratch), Width: a.width(), Tell: a.said}
	if err := a.makeFolders(); err != nil {
		return endStopped, refused(ctx, c, err)
	}
	unready := a.staged.unready()
	if unready == nil {
		if unready = a.guest.Prepare(ctx, a.node); unready != nil {
			unready = fmt.Errorf("the node cannot run this guest: %w", unready)
		}
	}
	if err := a.begin(began); err != nil {
		return endStopped, err
	}
	a.timing = newTiming(a, a.own)
	a.hearWords()
	a.tell(a.staged)
	a.passOn()
	if unready == nil {
		unready = a.takeStock(ctx)
	}
	// The journal names the token by now: what is left in the output folder is
	// known to be this run's.
	if unready == nil {
		unready = a.openOutputs()
	}
	if ctx.Err() != nil {
		unready = nil // nothing has begun
	}
	why, err := a.serve(ctx, unready)
	a.words.close()
	a.timing.close()
	return a.ending(ctx), errors.Join(err, a.end(why))
}

// ending says how the life of an agent that has served ends.
func (a *agent) ending(ctx context.Context) ending {
	switch {
	case ctx.Err() != nil, a.superseded.Load(), a.queue.stopped() == folderGone:
		return endStopped
	case a.queue.stopped() != outOfTime || !a.leaves():
		return endDone
	case a.spec.Requeue:
		return endAgain
	}
	return endStopped
}

// leaves reports whether something is left undone of what the agent was to do.
func (a *agent) leaves() bool { return a.unfinished.Load() || a.queue.left() }

// open reads what is to be done.
func open(c Config, table *proc.Table) (*agent, error) {
	a := &agent{Config: c, table: table, token: filepath.Base(c.Scratch), running: map[int]context.CancelCauseFunc{}}
	var err error
	if a.run, err = rundir.Open(c.RunDir); err != nil {
		return nil, err
	}
	if a.spec, err = a.run.Spec(); err != nil {
		return nil, err
	}
	if a.staged, err = readStaged(c.Scratch); err != nil {
		return nil, err
	}
	a.staged.settle(&a.spec)
	if a.tasks, err = a.run.Tasks(); err != nil {
		return nil, err
	}
	if a.share, err = a.run.ReadShare(c.Generation, c.Element); err != nil {
		return nil, err
	}
	if a.spec.Template {
		if a.args, err = template.Parse(a.spec.Args); err != nil {
			return nil, err
		}
	}
	if a.guest, err = c.Guest(a.spec.Guest, table); err != nil {
		return nil, err
	}
	a.traits = a.guest.Traits()
	if a.machine = c.Machine; a.machine == "" {
		if a.machine, err = machineName(); err != nil {
			return nil, err
		}
	}
	a.env = programEnv(c.Environ)
	return a, nil
}

// makeFolders makes the folders that instances show their programs.
func (a *agent) makeFolders() error {
	a.folders = guest.Folders{
		In:      filepath.Join(a.Scratch, "in"),
		Work:    filepath.Join(a.Scratch, "work"),
		Program: a.spec.ProgramDir,
	}
	var err error
	if a.inputs, err = newFolders(a.folders.In); err != nil {
		return err
	}
	if a.works, err = newFolders(a.folders.Work); err != nil {
		return err
	}
	for _, dir := range []string{instancesDir, "t"} {
		if err := os.MkdirAll(filepath.Join(a.Scratch, dir), 0o700); err != nil {
			return fmt.Errorf("making the agent's folders: %w", err)
		}
	}
	return nil
}

// openOutputs makes the folder in which programs write their outputs.
func (a *agent) openOutputs() (err error) {
	if a.spec.Output == "" {
		// Guests want a folder all the same.
		a.folders.Out = filepath.Join(a.Scratch, "out")
		return os.MkdirAll(a.folders.Out, 0o700)
	}
	a.outputs, err = rundir.NewPublisher(a.spec.Output, a.run.Number, a.token, rundir.PublisherOptions{})
	if err != nil {
		return err
	}
	a.folders.Out = a.outputs.Dir()
	return nil
}

// begin opens journal and stream, and begins to beat: from now on twins know of
// this agent, and what goes wrong reaches a person.
func (a *agent) begin(began time.Time) error {
	subs, err := a.run.Submissions()
	if err != nil {
		return err
	}
	start := rundir.AgentStart{
		Run: a.run.Number, Element: a.Element, PID: a.HostPID, Token: a.token,
		Host: nodeName(a.Environ, a.machine), Job: jobName(a.Environ),
		Began: began, Lanes: a.share.Lanes, Staged: time.Since(began), StagedBytes: a.staged.Bytes, StagedHow: a.staged.How,
	}
	for _, s := range subs {
		if s.Generation == a.Generation {
			a.own, start.Submitted = s, s.At
		}
	}
	a.requests = a.run.Requests(a.own.LastRequest)
	a.journal, err = a.run.NewJournal(a.Generation, a.Element, start, rundir.JournalOptions{Health: a.health, AfterGroup: a.afterGroup})
	if err != nil {
		return err
	}
	if a.stream, err = a.run.NewStream(a.journal.ID(), a.spec.MaxLog); err != nil {
		return errors.Join(err, a.journal.Close())
	}
	if a.heart, err = a.run.NewHeart(a.journal.ID(), a.machine, a.journal.Start().PID); err != nil {
		return errors.Join(err, a.stream.Close(), a.journal.Close())
	}
	a.queue = newQueue(nil, nil)
	a.calls = make([]time.Time, a.share.Lanes)
	a.pause = newPause()
	a.shelf = newShelf(a)
	a.publish = newPublishing(a)
	if a.spec.Launch != nil {
		a.launching, err = newLaunching(a)
	}
	return err
}

// takeStock finds out what earlier incarnations have done, and makes the queue of
// what is left.
func (a *agent) takeStock(ctx context.Context) error {
	load := a.settled
	if a.share.Chunks != nil {
		load = a.standing // claims keep twins apart: there is no need to wait for an elder one
	}
	snap, err := load(ctx, func(rundir.AgentState) bool { return true })
	if err != nil {
		return err
	}
	if len(snap.Damage) > 0 {
		// Tasks that it tells to be completed would run again.
		return fmt.Errorf("a journal of this run cannot be read: %w", snap.Damage[0])
	}
	if a.share.Chunks != nil {
		a.queue = newOpenQueue()
		a.dealer = newDealer(a, a.needs(snap))
		return nil
	}
	a.queue = newQueue(a.share.Calls, a.needs(snap))
	return nil
}

// standing is how the run stands. alive tells of agents whether they are.
func (a *agent) standing(ctx context.Context, alive func(rundir.AgentState) bool) (*rundir.Snapshot, error) {
	return a.run.Load(ctx, rundir.LoadOptions{Alive: alive})
}

// needs tells of tasks, as a snapshot shows them, which need no run, and the number
// of their last attempt. What was cancelled in this generation stays so, and what has failed
// for good too; resume is another one.
func (a *agent) needs(snap *rundir.Snapshot) func(task int) (done bool, attempts int) {
	return func(task int) (done bool, attempts int) {
		t := snap.Task(task)
		ended := t.Final && (t.State == job.Cancelled || t.State.Failure()) && t.Agent >= 0 && snap.Agents[t.Agent].ID.Generation == a.Generation
		return t.State == job.Completed || ended, t.Attempts
	}
}

func (a *agent) health(err error) {
	if err != nil {
		a.Log.Error("the run directory takes no more records; starting nothing until it does", "err", err)
	} else {
		a.Log.Info("the run directory takes records again")
	}
}

func (a *agent) afterGroup() { a.publish.afterGroup() }

// lanes runs the lanes until the queue is empty or ctx ends.
func (a *agent) lanes(ctx context.Context) error {
	var lanes errgroup.Group
	for n := range a.share.Lanes {
		lanes.Go(func() error { return newLane(a, n).run(ctx) })
	}
	return lanes.Wait()
}

// serve does the agent's work until it is done or ctx ends, and says why it
// ended.
func (a *agent) serve(ctx context.Context, unready error) (why string, err error) {
	if unready != nil {
		a.publish.close()
		return unready.Error(), unready
	}
	stopWatching := a.watch(ctx, a.watchTime, a.dealer.run)
	crew := a.lanes
	if a.launching != nil {
		crew = a.launch
	}
	err = crew(ctx)
	a.publish.close()
	stopWatching()
	// Cancelled or not, what was opened is closed.
	err = errors.Join(err, a.shelf.close(context.WithoutCancel(ctx)))
	switch {
	case err != nil:
		return "failed: " + err.Error(), err
	case ctx.Err() != nil:
		return "stopped", nil
	case a.queue.stopped() == outOfTime && !a.leaves():
		return "done", nil
	case a.queue.stopped() != "":
		return a.queue.stopped(), nil
	}
	return "done", nil
}

// watch lets the agent hear what is asked of it and of twins, and whatever more is
// given, until stop is called.
func (a *agent) watch(ctx context.Context, more ...func(context.Context)) (stop func()) {
	a.hear() // it may be suspended before it begins
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	for _, watch := range append(more, a.obey, a.watchTwins) {
		watching.Go(func() { watch(ctx) })
	}
	return func() {
		cancel()
		watching.Wait()
	}
}

// end says goodbye to the journal and closes everything.
func (a *agent) end(why string) error {
	var errs []error
	errs = append(errs, a.stream.Close())
	if a.heart != nil {
		defer a.heart.Close()
	}
	if why == "done" || why == "stopped" || a.queue.stopped() != "" {
		errs = append(errs, a.journal.Append(rundir.Record{Kind: rundir.KindFinish, At: a.journal.Now(), Note: why}))
	} else {
		a.note("%s", why)
		errs = append(errs, a.journal.Append(rundir.Record{Kind: rundir.KindFinish, At: a.journal.Now(), Note: "failed"}))
	}
	errs = append(errs, a.journal.Close())
	if a.outputs != nil {
		// Only the journal's close has called the last done functions.
		errs = append(errs, a.publish.tidy(), a.outputs.Close())
	}
	return errors.Join(errs...)
}

// note tells a person something, through the journal and the agent's own log.
func (a *agent) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	a.Log.Warn(text)
	if err := a.journal.Append(rundir.Record{Kind: rundir.KindNote, At: a.journal.Now(), Note: text}); err != nil {
		a.Log.Error("writing a note", "err", err)
	}
}
