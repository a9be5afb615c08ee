package job

import (
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Launch is what muster launch asks for beyond the rest of a Spec: so many programs
// alive at the same time. Task i of the run is program i.
type Launch struct {
	Programs int `json:"programs"`

	// Hold: so long after all were alive, they are taken down; nil: they run until they
	// end by themselves.
	Hold *time.Duration `json:"hold,omitempty"`

	Ready        Ready         `json:"ready"`
	ReadyTimeout time.Duration `json:"ready_timeout"`       // a program that is not alive by then has failed
	Waves        bool          `json:"waves,omitempty"`     // start as many as fit, take them down, start the next
	Floor        int64         `json:"floor,omitempty"`     // bytes of memory that stay free on a node; 0: the agent's choice
	Restart      int           `json:"restart,omitempty"`   // how often a program whose instance has died is started again
	InFlight     int           `json:"in_flight,omitempty"` // starts at a time on a node; 0: four for each CPU
}

// Ready says when a program of a launch counts as alive.
type Ready struct {
	How  ReadyHow `json:"how"`
	What string   `json:"what,omitempty"` // the expression, or the file's name
}

// ReadyHow is a way to tell that a program is alive.
type ReadyHow string

const (
	ReadyExec   ReadyHow = "exec"   // its process runs its own image
	ReadyOutput ReadyHow = "output" // a line on its standard output or error matches Ready.What
	ReadyFile   ReadyHow = "file"   // there is a file of that name in its work folder
)

// ParseReady reads the value of --ready: exec, output:REGEX or file:NAME. The error is
// ErrBadInput.
func ParseReady(s string) (Ready, error) {
	how, what, _ := strings.Cut(s, ":")
	r := Ready{ReadyHow(how), what}
	switch r.How {
	case ReadyExec:
		if s == string(ReadyExec) {
			return r, nil
		}
	case ReadyOutput:
		if _, err := regexp.Compile(what); err != nil {
			return r, BadInputf("--ready %s: that is no regular expression: %w", s, err)
		}
		if what != "" {
			return r, nil
		}
	case ReadyFile:
		if what != "" && !filepath.IsLocal(what) {
			return r, BadInputf("--ready %s: name a file in the program's work folder, such as file:ready", s)
		}
		if what != "" {
			return r, nil
		}
	}
	return r, BadInputf("--ready cannot be %q: write exec, output:REGEX or file:NAME", s)
}

// String gives the form that ParseReady reads.
func (r Ready) String() string {
	if r.What == "" {
		return string(r.How)
	}
	return string(r.How) + ":" + r.What
}
