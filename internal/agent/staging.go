package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"muster/internal/job"
	"muster/internal/node"
	"muster/internal/rundir"
	"muster/internal/scratch"
	"muster/internal/stage"
)

// Staging brings image and program to the node. It is the keeper's business,
// before there is an agent: what was staged is write-protected in the agent's
// namespace, and one that fails to get a namespace does not stage twice.
type Staging struct {
	RunDir     string
	Generation int
	Reduce     bool
	Getenv     func(string) string
	Log        *slog.Logger

	run    *rundir.Run
	spec   job.Spec
	server *stage.Server
	fan    *stage.Fanout
	uses   []*stage.Use
}

// Staged is what came of it. The keeper leaves it in the scratch folder, for the agent.
type Staged struct {
	Image      string        `json:"image,omitempty"`       // the image's folder on the node; "": the spec's
	ProgramDir string        `json:"program_dir,omitempty"` // the program's folder on the node; "": the spec's
	Took       time.Duration `json:"took,omitempty"`
	Bytes      int64         `json:"bytes,omitempty"` // that came to the node
	How        string        `json:"how,omitempty"`   // for rundir.AgentStart
	Notes      []string      `json:"notes,omitempty"` // for a person
	Failed     string        `json:"failed,omitempty"`
}

// stagedFile is its name in the scratch folder.
const stagedFile = "staged.json"

// fdStaged is the first of the descriptors that the keeper hands to the agent for
// what was staged: with them the agent holds the claims too.
const fdStaged = 5

// Close gives up the claims to what was staged, and stops serving other nodes.
func (s *Staging) Close() error {
	var err error
	if s.server != nil {
		err = s.server.Close()
	}
	for _, u := range s.uses {
		err = errors.Join(err, u.Close())
	}
	s.server, s.uses = nil, nil
	return err
}

// Do stages what is to be staged and leaves word of it in the scratch folder. The error is
// ctx's, or of the scratch folder: what goes wrong with staging itself is for the
// agent to tell.
func (s *Staging) Do(ctx context.Context, folder *scratch.Folder) error {
	began := time.Now()
	done, err := s.stage(ctx, folder)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		done.Failed = firstLine(err)
	}
	if done.How == "" && done.Failed == "" && len(done.Notes) == 0 {
		return nil
	}
	done.Took = time.Since(began)
	s.Log.Info("staging", "how", done.How, "bytes", done.Bytes, "took", done.Took, "failed", done.Failed)
	text, err := json.Marshal(done)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder.Dir, stagedFile), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("leaving word of what was staged: %w", err)
	}
	return nil
}

func (s *Staging) stage(ctx context.Context, folder *scratch.Folder) (done Staged, err error) {
	if s.run, err = rundir.Open(s.RunDir); err != nil {
		return done, err
	}
	if s.spec, err = s.run.Spec(); err != nil {
		return done, err
	}
	trees, err := s.trees()
	if err != nil || len(trees) == 0 {
		return done, s.excuse(&done, err)
	}
	var from stage.Source = stage.Central{}
	if s.spec.Stage == stage.Fan {
		if err := s.join(folder.Token); err != nil {
			done.Notes = append(done.Notes, fmt.Sprintf("staging from the central storage only: %v", err))
		} else {
			from = s.fan
			for _, t := range trees {
				s.server.Expect(t)
			}
		}
	}
	var how []string
	for _, t := range trees {
		u, err := s.bring(ctx, t, from)
		if err != nil {
			if s.server != nil {
				s.server.Forget(t)
			}
			if err := s.excuse(&done, err); err != nil {
				return done, err
			}
			continue
		}
		s.uses = append(s.uses, u)
		if s.server != nil {
			s.server.Serve(u)
		}
		name := "program"
		if t.IsImage() {
			name, done.Image = "image", u.Dir
		} else {
			done.ProgramDir = u.Files()
		}
		how = append(how, name+" "+u.How)
		done.Bytes += u.Bytes
	}
	done.How = strings.Join(how, ", ")
	return done, nil
}

// excuse makes a note of what keeps --stage auto from staging: the central
// storage serves then.
func (s *Staging) excuse(done *Staged, err error) error {
	if err == nil || s.spec.Stage != stage.Auto {
		return err
	}
	done.Notes = append(done.Notes, "not staged, and read from the central storage: "+firstLine(err))
	return nil
}

// trees lists what is to be staged.
func (s *Staging) trees() (trees []stage.Tree, err error) {
	needs := s.spec.Image != "" && !(s.Reduce && s.spec.ReduceGuest == "native")
	if needs {
		if needs, err = stage.Wanted(s.spec.Stage, s.spec.Image); err != nil {
			return nil, err
		}
	}
	if needs {
		t, err := stage.Image(s.spec.Image)
		if err != nil {
			return nil, err
		}
		trees = append(trees, t)
	}
	if s.spec.Stage == "" || s.spec.Stage == stage.None {
		return trees, nil
	}
	// The submitting side has decided about the program, and says what must be in its folder.
	t, err := stage.Read(s.run.StagedProgram(s.Generation))
	if errors.Is(err, fs.ErrNotExist) {
		return trees, nil
	}
	if err != nil {
		return nil, fmt.Errorf("what the program's folder must hold: %w", err)
	}
	return append(trees, t), nil
}

// join takes part in the fan-out of the generation's nodes.
func (s *Staging) join(id string) (err error) {
	if s.server, err = stage.NewServer(); err != nil {
		return err
	}
	s.fan, err = stage.NewFanout(s.run.StageDir(s.Generation), machineToken(id), s.server)
	if err != nil {
		err = errors.Join(err, s.server.Close())
		s.server = nil
	}
	return err
}

// machineToken makes an agent's token, which is unique on its node, unique among nodes.
func machineToken(id string) string {
	name, err := os.Hostname()
	if err != nil {
		name = "node"
	}
	return fmt.Sprintf("%s.%s.%d", name, id, os.Getpid())
}

// bring brings one tree to the first of the node's folders that has it, or that
// has room for it.
func (s *Staging) bring(ctx context.Context, t stage.Tree, from stage.Source) (*stage.Use, error) {
	roots, refused := node.StageRoots(s.Getenv)
	var stores []*stage.Store
	for _, r := range roots {
		home, err := scratch.Home(r.Path)
		var store *stage.Store
		if err == nil {
			store, err = stage.Open(filepath.Join(home, stage.Folder), s.spec.StageLimit)
		}
		if err != nil {
			refused = append(refused, err.Error())
			continue
		}
		if u, err := store.Has(ctx, t); err == nil {
			return u, nil
		}
		stores = append(stores, store)
	}
	for _, store := range stores {
		u, err := store.Acquire(ctx, t, from)
		if !errors.Is(err, stage.ErrSpace) {
			return u, err
		}
		refused = append(refused, firstLine(err))
	}
	return nil, fmt.Errorf("no folder of this node takes %s (%s): %s; --scratch DIR names another folder, --stage none reads the central storage",
		t.What, t.From, strings.Join(refused, "; "))
}

// readStaged reads what the keeper has staged into this scratch folder.
func readStaged(dir string) (Staged, error) {
	var done Staged
	text, err := os.ReadFile(filepath.Join(dir, stagedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return done, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &done)
	}
	if err != nil {
		return done, fmt.Errorf("reading what was staged: %w", err)
	}
	return done, nil
}

// settle makes a spec speak of what was staged.
func (d Staged) settle(s *job.Spec) {
	if d.Image != "" {
		s.Image = d.Image
	}
	if d.ProgramDir == "" {
		return
	}
	s.Program = moved(s.Program, s.ProgramDir, d.ProgramDir)
	s.Reducer = moved(s.Reducer, s.ProgramDir, d.ProgramDir)
	s.ProgramDir = d.ProgramDir
}

// moved is a path as it is when the folder from has moved.
func moved(path, from, to string) string {
	if below, ok := strings.CutPrefix(path, from+"/"); ok {
		return filepath.Join(to, below)
	}
	return path
}

// tell passes on what staging has to say.
func (a *agent) tell(d Staged) {
	for _, n := range d.Notes {
		a.note("%s", n)
	}
}

// unready is the error of a node that has not got what it needs.
func (d Staged) unready() error {
	if d.Failed == "" {
		return nil
	}
	return fmt.Errorf("the node has not got what it needs: %s", d.Failed)
}
