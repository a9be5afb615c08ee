package agent

import (
	"context"
	"errors"
	"syscall"

	"muster/internal/guest"
	"muster/internal/job"
	"muster/internal/proc"
	"muster/internal/rundir"
)

// suspend lets everything that runs stand still, and starts nothing more until
// goOn. Instances that are just coming up do so first: stopped half-way they would
// take their own slowness for a failure.
func (a *agent) suspend(by string) {
	if a.pause.isOn() {
		return
	}
	a.pause.set(true)
	a.Log.Info("suspended", "by", by)
	a.still()
	a.tellPause(rundir.Suspended)
}

// goOn ends that.
func (a *agent) goOn(by string) {
	if !a.pause.isOn() {
		return
	}
	a.release()
	a.Log.Info("continued", "by", by)
	a.tellPause(rundir.Continued)
}

// still stops what does not stand still yet. It is called again and again while the
// agent is suspended: instances come up, and others may send SIGCONT.
func (a *agent) still() {
	a.stills.Lock()
	defer a.stills.Unlock()
	if !a.pause.isOn() {
		return
	}
	live, opening := a.shelf.standing()
	var errs []error
	for _, inst := range live {
		errs = append(errs, a.controlInstance(inst, job.OpSuspend))
	}
	// What has wiped its environment is nobody's by its marks, and yet below this agent.
	var comingUp []func(proc.Info) bool
	for _, mark := range opening {
		comingUp = append(comingUp, a.table.Marked(mark))
	}
	errs = append(errs, a.table.SignalAll(func(i proc.Info) bool {
		for _, is := range comingUp {
			if is(i) {
				return false
			}
		}
		return true
	}, syscall.SIGSTOP))
	if err := errors.Join(errs...); err != nil {
		a.Log.Error("suspending", "err", err)
	}
}

// release lets everything go on.
func (a *agent) release() {
	a.stills.Lock()
	defer a.stills.Unlock()
	if !a.pause.isOn() {
		return
	}
	a.pause.set(false)
	live, _ := a.shelf.standing()
	var errs []error
	for _, inst := range live {
		errs = append(errs, a.controlInstance(inst, job.OpContinue))
	}
	errs = append(errs, a.table.SignalAll(func(proc.Info) bool { return true }, syscall.SIGCONT))
	if err := errors.Join(errs...); err != nil {
		a.Log.Error("continuing", "err", err)
	}
}

// controlInstance stops or continues an instance through its driver. The thousands of
// a launch are met together, with everything below this agent: each driver would look through all
// processes for its own.
func (a *agent) controlInstance(inst guest.Instance, op job.Op) error {
	if a.launching != nil && len(a.shelf.shared) == 0 {
		return nil
	}
	return inst.Control(context.Background(), op)
}

func (a *agent) tellPause(how string) {
	if err := a.journal.Append(rundir.Record{Kind: rundir.KindSuspend, At: a.journal.Now(), Note: how}); err != nil {
		a.Log.Error("recording that the agent is "+how, "err", err)
	}
}
