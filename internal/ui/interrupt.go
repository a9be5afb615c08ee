package ui

import "time"

// Interrupt decides what Ctrl-C and its likes mean while a run goes on: once
// explains, twice cancels. It is a pure state machine; the caller carries out
// what it answers, and tells it of every event.
//
//	          SIGINT                  SIGINT, c              SIGINT
//	running ──────────▶ asking ──────────────▶ cancelling ──────────▶ left
//	   ▲                 │  │ d                     ▲
//	   └─────────────────┘  └────────▶ left         │
//	    any other key, 10 s                         │
//	   └── SIGTERM, or SIGINT with nobody to ask ───┘
//
// SIGHUP (the terminal was closed) detaches where that can be, and else cancels.
type Interrupt struct {
	// Person says that somebody sees the explanation and can answer. Without, the
	// first SIGINT cancels.
	Person bool
	// Detach says that the run goes on when the command leaves.
	Detach bool

	state  interruptState
	asked  time.Time
	latest time.Time
}

type interruptState int

const (
	running interruptState = iota
	asking
	cancelling
	left
)

// InterruptEvent is something that happened to the command.
type InterruptEvent int

const (
	EventInterrupt InterruptEvent = iota // SIGINT
	EventTerminate                       // SIGTERM
	EventHangup                          // SIGHUP
	EventDetachKey                       // the key d
	EventCancelKey                       // the key c
	EventOtherKey                        // any other key
	EventTick                            // time has passed; tell it every second
)

// Action is what the command has to do now.
type Action int

const (
	ActNothing Action = iota
	ActAsk            // show Question
	ActDismiss        // take the question away, and go on
	ActDetach         // leave; the run goes on
	ActCancel         // cancel the run, and wait until it has ended
	ActLeave          // leave although the cancelling is not done; it goes on by itself
)

const (
	// askFor is how long the question stands.
	askFor = 10 * time.Second
	// bounce is how close together two SIGINT are one: a terminal sends it to the
	// whole process group, and a wrapper may pass it on as well.
	bounce = 50 * time.Millisecond
)

// Question is what to show on ActAsk.
func (i *Interrupt) Question() string {
	if i.Detach {
		return "Ctrl-C again or c: cancel the run. d: leave it running. Other keys: go on."
	}
	return "Ctrl-C again or c: cancel the run. Other keys: go on."
}

// Handle takes an event that happened at now, and answers what to do.
func (i *Interrupt) Handle(e InterruptEvent, now time.Time) Action {
	if e == EventInterrupt {
		if !i.latest.IsZero() && now.Sub(i.latest) < bounce {
			return ActNothing
		}
		i.latest = now
	}
	if i.state == left {
		return ActNothing
	}
	if e == EventHangup {
		if i.Detach {
			i.state = left
			return ActDetach
		}
		e = EventTerminate
	}
	switch i.state {
	case running:
		switch {
		case e == EventTerminate, e == EventInterrupt && !i.Person:
			i.state = cancelling
			return ActCancel
		case e == EventInterrupt:
			i.state, i.asked = asking, now
			return ActAsk
		}
	case asking:
		switch {
		case e == EventInterrupt, e == EventTerminate, e == EventCancelKey:
			i.state = cancelling
			return ActCancel
		case e == EventDetachKey && i.Detach:
			i.state = left
			return ActDetach
		case e == EventOtherKey, e == EventDetachKey, e == EventTick && now.Sub(i.asked) >= askFor:
			i.state = running
			return ActDismiss
		}
	case cancelling:
		if e == EventInterrupt {
			i.state = left
			return ActLeave
		}
	}
	return ActNothing
}
