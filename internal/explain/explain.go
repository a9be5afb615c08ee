// Package explain is the catalogue behind `muster explain CODE`: what a code
// means, what it usually comes from, what to look at, and what to do. It works
// without a network and without a run.
//
// In the commands, RUN stands for the number of a run and TASK for that of a
// task; `last` can be written for RUN.
package explain

import (
	"slices"
	"strings"

	"muster/internal/job"
	"muster/internal/ui/human"
)

// Kind is what a code is a code of.
type Kind string

const (
	Cause Kind = "cause" // why a task ended as it did: stands in brackets in reports
	State Kind = "state" // of a task, an array or a run
	Input Kind = "input" // refused before anything was started: exit code 2
	Host  Kind = "host"  // this machine lacks something: exit code 3
	Exit  Kind = "exit"  // muster's own exit codes

	Reason Kind = "reason" // why a scheduler lets something wait
)

// Topic is what is known of a code.
type Topic struct {
	Code    string   `json:"code"`
	Kind    Kind     `json:"kind"`
	Meaning string   `json:"meaning"`           // one sentence
	Usually []string `json:"usually,omitempty"` // what it mostly comes from, the likeliest first
	Look    []Advice `json:"look,omitempty"`    // what tells more
	Do      []Advice `json:"do,omitempty"`      // what helps
	See     []string `json:"see,omitempty"`     // other codes
}

// Advice is a command, and what it is good for. Without a command it is a
// sentence alone.
type Advice struct {
	Command string `json:"command,omitempty"`
	Text    string `json:"text"`
}

// Explain returns the topic of a code. One that is written in another case is
// found too: "timeout" is a cause and "TIMEOUT" a state, "Timeout" the cause.
func Explain(code string) (Topic, bool) {
	code = strings.Trim(strings.TrimSpace(code), "[]") // as it is copied from a report
	i := slices.IndexFunc(topics, func(t Topic) bool { return t.Code == code })
	if i < 0 {
		i = slices.IndexFunc(topics, func(t Topic) bool { return strings.EqualFold(t.Code, code) })
	}
	if i < 0 {
		return Why(code)
	}
	return topics[i], true
}

// Codes returns every code, in the order of the catalogue.
func Codes() []string {
	codes := make([]string, len(topics))
	for i, t := range topics {
		codes[i] = t.Code
	}
	return codes
}

// Topics returns the whole catalogue.
func Topics() []Topic { return slices.Clone(topics) }

// Nearest returns the code that a mistyped one was probably meant to be, or "".
func Nearest(code string) string { return job.Closest(code, Codes()) }

// topics is the catalogue, in the order in which to list it.
var topics = slices.Concat(causes, states, inputs, hosts, reasons, exits)

// Lines writes a topic for a person, in lines of at most width cells; 0: no
// limit. Commands are never broken.
func (t Topic) Lines(width int) []string {
	lines := []string{t.Code}
	lines = append(lines, human.Wrap(t.Meaning, width)...)
	if len(t.Usually) > 0 {
		lines = append(lines, "", "Usually")
		for _, s := range t.Usually {
			lines = append(lines, item("- ", "  ", s, width)...)
		}
	}
	for _, section := range []struct {
		title  string
		advice []Advice
	}{{"Look at", t.Look}, {"What to do", t.Do}} {
		if len(section.advice) == 0 {
			continue
		}
		lines = append(lines, "", section.title)
		for _, a := range section.advice {
			if a.Command == "" {
				lines = append(lines, item("  ", "  ", a.Text, width)...)
				continue
			}
			lines = append(lines, "  "+a.Command)
			lines = append(lines, item("      ", "      ", a.Text, width)...)
		}
	}
	if len(t.See) > 0 {
		lines = append(lines, "", "See also: "+strings.Join(t.See, ", "))
	}
	return lines
}

// item wraps a text behind a sign.
func item(first, then, text string, width int) []string {
	room := width
	if width > 0 {
		room = max(20, width-len(first))
	}
	lines := human.Wrap(text, room)
	for i := range lines {
		if i == 0 {
			lines[i] = first + lines[i]
		} else {
			lines[i] = then + lines[i]
		}
	}
	return lines
}
