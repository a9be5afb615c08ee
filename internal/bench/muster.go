package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"muster/internal/job"
	"muster/internal/proc"
)

// A Caller calls muster as a person does.
type Caller struct {
	Table *proc.Table
	Exe   string   // muster itself
	State string   // where its runs are kept
	Env   []string // its environment
	Dir   string   // to run it in
	Flags []string // of launch, of map: --isolation, --engine …
}

// Muster is the contender that counts: muster launch.
type Muster struct {
	Caller
	Label string // its Name
	Limit int    // its Most
	Probe Probe
	Nodes int  // instances are spread over so many at most; 0: this machine alone
	Here  bool // the programs run below this process
}

// Probe is the program that is brought up.
type Probe struct {
	Path string
	Name string // that the kernel knows it by
	Word string // an argument that no other process has
}

func (p Probe) prey() Prey { return Prey{Name: p.Name, Word: p.Word} }

// Name implements Contender.
func (m *Muster) Name() string { return m.Label }

// Most implements Contender.
func (m *Muster) Most() int { return m.Limit }

// Close implements Contender.
func (m *Muster) Close() error { return nil }

// Prepare launches one program, so that the image is built and what every launch
// reads has been read once.
func (m *Muster) Prepare(ctx context.Context, say func(string)) error {
	say("a first launch, which builds the image where there is none")
	_, err := m.Launch(ctx, 1)
	return err
}

// launchResult is what muster launch --json ends with.
type launchResult struct {
	Version  int     `json:"version"`
	Run      int     `json:"run"`
	State    string  `json:"state"`
	Reason   string  `json:"reason"`
	Programs int     `json:"programs"`
	AliveMax int     `json:"alive_max"`
	Seconds  float64 `json:"launch_seconds"`
}

// reportResult is what muster report --json tells of copying, and of where the programs were.
type reportResult struct {
	Lanes  int `json:"lanes"` // of a node: starts at a time
	Phases map[string]struct {
		Max   float64 `json:"max_s"`
		Total float64 `json:"total_s"`
	} `json:"phases"`
	Nodes []struct {
		Host string `json:"host"`
	} `json:"nodes"` // by agent
}

// nodes is how many machines the programs were on: a scheduler may have fewer than were asked for, or give
// one twice.
func (r reportResult) nodes() int {
	hosts := map[string]bool{}
	for _, n := range r.Nodes {
		hosts[n.Host] = true
	}
	return max(1, len(hosts))
}

// copying is the part of a launch that copying took: staging on the slowest node,
// and the clones of all instances, as many side by side as are started.
func (r reportResult) copying() float64 {
	return r.Phases["staged"].Max + r.Phases["cloned"].Total/float64(max(r.Lanes, 1)*r.nodes())
}

// cancelTakes is how long an interrupted launch may take to take everything down.
const cancelTakes = 90 * time.Second

// goneTakes is how long processes may be seen after their launch has ended.
const goneTakes = 20 * time.Second

// Launch implements Contender.
func (m *Muster) Launch(ctx context.Context, n int) (s Sample, err error) {
	s = Sample{Source: FromMuster, Copies: true}
	watch, err := NewWatch(m.Probe.prey(), n)
	if err != nil {
		return s, err
	}
	var res launchResult
	err = m.call(ctx, m.args(n, watch.Hold()), &res)
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), goneTakes)
	defer cancel()
	seen, ended := watch.End(patient)
	if err == nil && ended != nil {
		err = fmt.Errorf("waiting until all of the launch are gone: %w", ended)
	}
	if err != nil {
		return s, err
	}
	switch {
	case m.Here:
		s.Source, s.Alive, s.Memory, s.CPU, s.Down = FromProc, seen.Most, seen.Memory, seen.CPU, seen.Down
	case seen.Most >= n:
		// A cluster of which all nodes are on this machine; what a scheduler has
		// started is not below this process, so its CPU time is not known.
		s.Source, s.Alive, s.Memory, s.Down = FromProc, seen.Most, seen.Memory, seen.Down
	default:
		s.Alive = res.AliveMax
	}
	if res.State != string(job.Completed) {
		why := ""
		if res.Reason != "" {
			why = ": " + res.Reason
		}
		return s, fmt.Errorf("run %d ended as %s with %d of %d alive at once%s", res.Run, res.State, res.AliveMax, n, why)
	}
	if res.Programs != n || res.Seconds <= 0 {
		return s, fmt.Errorf("muster launch --json tells of %d programs in %g s, not of %d", res.Programs, res.Seconds, n)
	}
	var rep reportResult
	if err := m.call(ctx, []string{"report", strconv.Itoa(res.Run), "--json"}, &rep); err != nil {
		return s, err
	}
	seconds := func(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }
	s.Nodes, s.Launch, s.Copy = rep.nodes(), seconds(res.Seconds), seconds(rep.copying())
	return s, nil
}

// args are launch's.
func (m *Muster) args(n int, hold time.Duration) []string {
	args := []string{"launch", "-n", fmt.Sprint(n), "--hold", hold.Round(100 * time.Millisecond).String(), "--ready", "output:^alive ", "--json", "--progress", "none"}
	args = append(args, m.Flags...)
	if m.Nodes > 0 {
		args = append(args, "--nodes", fmt.Sprint(min(m.Nodes, n)))
	}
	return append(args, "--", m.Probe.Path, "{index}", m.Probe.Word)
}

// call runs muster to its end and reads the object that it prints last.
func (c Caller) call(ctx context.Context, args []string, into any) error {
	argv := append([]string{c.Exe, "--state", c.State, "--color", "never"}, args...)
	out, err := finish(ctx, c.Table, proc.Cmd{Path: c.Exe, Args: argv, Dir: c.Dir, Env: c.Env}, cancelTakes)
	if err != nil {
		return err
	}
	if json.Unmarshal(lastObject(out.Stdout), into) != nil {
		return failure(args, out.Exit, out.Stderr)
	}
	return nil
}

// lastObject is the JSON object that a command's output ends with, over one line
// or several.
func lastObject(text []byte) []byte {
	text = bytes.TrimSpace(text)
	if i := bytes.LastIndex(text, []byte("\n{")); i >= 0 {
		return text[i+1:]
	}
	return text
}

// failure puts into one line why muster has not launched anything.
func failure(args []string, exit job.Exit, stderr []byte) error {
	text := strings.TrimPrefix(string(lastLine(bytes.TrimSpace(stderr))), "error: ")
	for line := range strings.Lines(string(stderr)) {
		if rest, ok := strings.CutPrefix(line, "error: "); ok {
			text = strings.TrimSpace(rest)
			break
		}
	}
	if text == "" {
		text = fmt.Sprintf("muster %s ended with exit code %d and said nothing", args[0], exit.Code)
	}
	return errors.New(text)
}

func lastLine(text []byte) []byte {
	text = bytes.TrimSpace(text)
	return text[bytes.LastIndexByte(text, '\n')+1:]
}
