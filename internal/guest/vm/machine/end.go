package machine

import (
	"context"
	"fmt"
	"syscall"

	"muster/internal/job"
)

// How is the way in which a machine has ended.
type How string

// The ways.
const (
	PoweredOff How = "powered off" // by the guest itself
	Reset      How = "reset"       // the guest wanted to start anew, which no machine does
	Panicked   How = "panicked"    // the guest's kernel has; End.Detail says why
	Killed     How = "killed"      // by Kill or Close
	Died       How = "died"        // QEMU has ended by itself or by somebody else's hand; End.Detail holds its words
)

// End is how a machine has ended.
type End struct {
	How    How
	Exit   job.Exit // of the QEMU process, with what it took
	Detail string   // one line, may be ""
}

// String says it in a sentence's end: "the guest's kernel panicked: …".
func (e End) String() string {
	text := map[How]string{
		PoweredOff: "the guest powered itself off",
		Reset:      "the guest reset itself",
		Panicked:   "the guest's kernel panicked",
		Killed:     "the machine was ended",
		Died:       "QEMU ended",
	}[e.How]
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Done is closed when the process has ended.
func (m *Machine) Done() <-chan struct{} { return m.child.Done() }

// Wait waits for the machine's end and says how it came. It returns ctx.Err() when ctx ends first, and may be
// called again.
func (m *Machine) Wait(ctx context.Context) (End, error) {
	exit, err := m.child.Wait(ctx)
	if err != nil {
		return End{}, err
	}
	// What QEMU has said before it ended is still on the way. It has no children that could keep its ends open.
	for _, last := range []<-chan struct{}{m.monitor.ended, m.console.ended, m.stderr.ended} {
		select {
		case <-last:
		case <-ctx.Done():
			return End{}, ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := End{Exit: exit}
	switch {
	case m.lastWords != "":
		e.How, e.Detail = Panicked, m.lastWords
	case m.why == "guest-shutdown":
		e.How = PoweredOff
	case m.why == "guest-reset":
		e.How = Reset
	case m.killed:
		e.How = Killed
	default:
		e.How, e.Detail = Died, m.complaint(exit)
	}
	return e, nil
}

// complaint is what is known of a QEMU that ended by itself.
func (m *Machine) complaint(exit job.Exit) string {
	text := fmt.Sprintf("exit code %d", exit.Code)
	if exit.Signal != 0 {
		text = fmt.Sprintf("signal %d", exit.Signal)
	}
	if exit.Signal == int(syscall.SIGBUS) {
		// As a rule: this is how a mapped file says that its disk is full.
		text += ", its memory's file cannot grow or has been cut: is the disk full?"
	}
	if last := m.stderr.last(1); last != "" {
		text += " (" + last + ")"
	}
	return text
}
