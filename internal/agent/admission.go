package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"muster/internal/admit"
	"muster/internal/node"
	"muster/internal/scratch"
)

// outsideFile is, in the scratch folder, what the keeper has seen and an agent in a PID
// namespace cannot see.
const outsideFile = "outside.json"

// tellOutside leaves word of it for the agent.
func tellOutside(folder *scratch.Folder) error {
	o, err := node.This().LookOutside()
	if err != nil {
		return fmt.Errorf("looking at the limits of processes: %w", err)
	}
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder.Dir, outsideFile), text, 0o600)
}

// host is this machine, with what the keeper has told of it.
func (a *agent) host() (node.Host, error) {
	h := node.This()
	text, err := os.ReadFile(filepath.Join(a.Scratch, outsideFile))
	if errors.Is(err, fs.ErrNotExist) { // not in a namespace
		return h, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &h.Outside)
	}
	if err != nil {
		return h, fmt.Errorf("reading what the keeper has told: %w", err)
	}
	return h, nil
}

// admission is the gate that so many starts of a launch pass. It is opened before the
// shared instances are, and begun when they are up. Error: *admit.Refusal.
func (a *agent) admission(programs int) (*admit.Gate, error) {
	h, err := a.host()
	if err != nil {
		return nil, err
	}
	allocation, _ := node.Allocation(func(name string) string { return value(a.Environ, name) })
	l := a.spec.Launch
	return admit.Open(admit.Here{Host: h, Scratch: a.Scratch}, admit.Options{
		Programs:   programs,
		Least:      admit.Least(a.traits, a.spec.Isolation),
		Floor:      l.Floor,
		Waves:      l.Waves,
		Allocation: allocation,
		Say:        func(text string) { a.note("%s: %s", nodeName(a.Environ, a.machine), text) },
	})
}
