package run

import (
	"errors"
	"fmt"
	"strings"

	"muster/internal/engine"
)

// EngineError is what an engine answered to what was asked of it, in a line for a
// person; the engine's own words come last.
type EngineError struct {
	Engine string
	Doing  string // "submitting", "asking what it has"
	Err    error
}

// engineError makes an EngineError of an engine's error; nil stays nil.
func engineError(name, doing string, err error) error {
	if err == nil {
		return nil
	}
	return &EngineError{Engine: name, Doing: doing, Err: err}
}

func (e *EngineError) Error() string {
	for _, known := range []struct {
		sentinel error
		says     string
	}{
		{engine.ErrMissing, " is not here"}, {engine.ErrUnavailable, " does not answer"}, {engine.ErrRefused, " refuses"},
	} {
		if !errors.Is(e.Err, known.sentinel) {
			continue
		}
		// What stands before the sentinel's own text is where in the driver it happened.
		_, words, found := strings.Cut(e.Err.Error(), known.sentinel.Error())
		words = strings.TrimPrefix(words, ": ")
		if !found || words == "" {
			return e.Engine + known.says
		}
		return e.Engine + known.says + ": " + words
	}
	return fmt.Sprintf("engine %s, %s: %v", e.Engine, e.Doing, e.Err)
}

func (e *EngineError) Unwrap() error { return e.Err }

// ErrorCode is what `muster explain` expands.
func (e *EngineError) ErrorCode() string {
	switch {
	case errors.Is(e.Err, engine.ErrMissing):
		return "no-scheduler"
	case errors.Is(e.Err, engine.ErrUnavailable):
		return "no-answer"
	case errors.Is(e.Err, engine.ErrRefused):
		return "refused"
	}
	return ""
}
