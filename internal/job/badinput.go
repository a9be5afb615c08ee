package job

import (
	"errors"
	"fmt"
)

// ErrBadInput marks every error for which the user's input or flags are to
// blame (exit code 2). Such errors are one clear line; match them with errors.Is.
var ErrBadInput = errors.New("the input or the flags are wrong")

// BadInputf makes an error that is ErrBadInput and reads exactly as formatted.
// %w works as in fmt.Errorf.
func BadInputf(format string, args ...any) error {
	return badInput{fmt.Errorf(format, args...)}
}

type badInput struct{ err error }

func (b badInput) Error() string   { return b.err.Error() }
func (b badInput) Unwrap() []error { return []error{ErrBadInput, b.err} }
