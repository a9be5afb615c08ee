package ui

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"muster/internal/ui/human"
)

// Problem is an error made for a person: one clear line (what, which, why), and
// under it what is known about it and what to do.
type Problem struct {
	Message string  // without a full stop; names are quoted or escaped when it is shown
	Code    string  // what `muster explain` expands, or ""
	Fields  []Field // in order: cause, log, …
	Try     []string
	Err     error // what lies under it, or nil; its text is shown as the original
}

// Field is one labelled line under a problem's first line.
type Field struct{ Label, Text string }

// Error is the first line alone.
func (p *Problem) Error() string { return p.Message }

// Unwrap gives what lies under it.
func (p *Problem) Unwrap() error { return p.Err }

// Hinter is implemented by errors of other packages that know what to do about
// them.
type Hinter interface{ Hint() string }

// Coder is implemented by errors of other packages that have a code which
// `muster explain` expands.
type Coder interface{ ErrorCode() string }

// RenderProblem gives the lines in which an error is shown, without colour and
// uncut, for logs and tests. Printer.Problem prints them.
func RenderProblem(err error) []string {
	return renderProblem(err, 0, func(_ Style, text string) string { return text })
}

func renderProblem(err error, width int, paint func(Style, string) string) []string {
	message, code, fields := describe(err)
	first := paint(Red, "error:") + " " + paint(Bold, human.Escape(message))
	if code != "" {
		first += "  " + paint(Dim, "["+human.Escape(code)+"]")
	}
	lines := []string{first}
	label := 0
	for _, f := range fields {
		label = max(label, human.Width(f.Label))
	}
	for _, f := range fields {
		style := Plain
		if f.Label == "try" || f.Label == "retry" {
			style = Cyan
		}
		// Only prose is wrapped; a command or an original message stays in one
		// piece, so that it can be copied.
		texts := []string{f.Text}
		if width > 40 && f.Label == "cause" {
			texts = human.Wrap(f.Text, width-label-4)
		}
		for i, text := range texts {
			name := ""
			if i == 0 {
				name = f.Label
			}
			lines = append(lines, "  "+paint(Dim, human.PadRight(name, label))+"  "+paint(style, human.Escape(text)))
		}
	}
	return lines
}

// describe takes an error apart: its line, its code, and what stands under it.
func describe(err error) (message, code string, fields []Field) {
	var p *Problem
	if errors.As(err, &p) {
		message, code = err.Error(), p.Code
		fields = append(fields, p.Fields...)
		if p.Err != nil {
			if original := p.Err.Error(); !strings.Contains(message, original) {
				label := "original"
				if plain, ok := inOurWords(p.Err); ok && !hasLabel(fields, "cause") {
					fields = append(fields, Field{"cause", plain})
				}
				fields = append(fields, Field{label, original})
			}
		}
		for _, t := range p.Try {
			fields = append(fields, Field{"try", t})
		}
	} else if plain, ok := inOurWords(err); ok {
		message = plain
		fields = append(fields, Field{"original", err.Error()})
	} else {
		message = err.Error()
	}
	message, rest, _ := strings.Cut(strings.TrimSpace(message), "\n")
	for _, line := range strings.Split(rest, "\n") { // errors.Join, or somebody's second line
		if line = strings.TrimSpace(line); line != "" {
			fields = slices.Insert(fields, 0, Field{"also", line})
		}
	}
	var c Coder
	if code == "" && errors.As(err, &c) {
		code = c.ErrorCode()
	}
	var h Hinter
	if errors.As(err, &h) && !hasLabel(fields, "try") && h.Hint() != "" {
		fields = append(fields, Field{"try", h.Hint()})
	}
	// What to do comes last, and doing it all again at the very end.
	slices.SortStableFunc(fields, func(a, b Field) int { return place(a) - place(b) })
	return message, code, fields
}

func place(f Field) int {
	switch f.Label {
	case "try":
		return 1
	case "retry":
		return 2
	}
	return 0
}

func hasLabel(fields []Field, label string) bool {
	return slices.ContainsFunc(fields, func(f Field) bool { return f.Label == label })
}

// Problemf makes a Problem of a message alone.
func Problemf(format string, args ...any) *Problem {
	return &Problem{Message: fmt.Sprintf(format, args...)}
}
