package gridengine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// An array's folder, Root/gridengine/TOKEN, where the token follows from the tag:
//
//	array.json   head: what was to be submitted, before anything was
//	job.P        the number of the job that is piece P
//	submitted    empty: all pieces are in the queue
//	asked/cancel empty: somebody asked for its end
//	asked/hold   empty: somebody asked that it waits
//	E.K          notes of element E's K-th start: a line each for begun and ended
//	missed.E     empty: it was first seen that Grid Engine has dropped element E without a word
//
// What is asked for has a folder of its own because supervisors list it every few seconds:
// on network file systems that is the way to see soon that something is new.
//
// Everything but the notes is written by the submitting side. Notes are written by
// whoever runs the element, each file by one process.
const (
	headFile      = "array.json"
	submittedFile = "submitted"
	askedDir      = "asked"
	cancelFile    = "asked/cancel"
	holdFile      = "asked/hold"
	jobPrefix     = "job."
	missedPrefix  = "missed."
)

const headVersion = 1

// head is what is known of an array before it is submitted.
type head struct {
	Version  int           `json:"version"`
	Tag      string        `json:"tag"`
	Name     string        `json:"name"`
	Elements int           `json:"elements"`
	PerJob   int           `json:"per_job"` // elements of a piece, but the last
	LogDir   string        `json:"log_dir"`
	After    []string      `json:"after,omitempty"`
	Requeue  bool          `json:"requeue,omitempty"`
	Time     time.Duration `json:"time,omitempty"` // until SIGTERM
	Warn     time.Duration `json:"warn,omitempty"`
	KillWait time.Duration `json:"kill_wait"`
	Created  time.Time     `json:"created"`
}

// idPrefix tells this engine's IDs from others'.
const idPrefix = "ge-"

func idOf(token string) engine.ID { return engine.ID(idPrefix + token) }

// tokenOf is the folder's name of an ID; "" for what this engine has not made.
func tokenOf(id engine.ID) string {
	t, ok := strings.CutPrefix(string(id), idPrefix)
	if !ok || t == "" || strings.Trim(t, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return ""
	}
	return t
}

// array is what an array's folder says.
type array struct {
	head
	token string
	dir   string
	jobs  map[int]string // by piece
	files map[string]bool
	notes map[int][]note // by element, in the order of its starts

	// fresh are the elements whose last start left its note when the queue had been asked
	// already, or was being asked: what the queue says may be older.
	fresh map[int]bool
}

func (a *array) pieces() []piece { return pieces(a.Elements, a.PerJob) }

// whole reports that every piece has a job.
func (a *array) whole() bool { return len(a.jobs) == len(a.pieces()) }

// load reads an array's folder; nil when there is none.
func load(base, token string) (*array, error) {
	dir := filepath.Join(base, token)
	a := &array{token: token, dir: dir, jobs: map[int]string{}, files: map[string]bool{}, notes: map[int][]note{}}
	b, err := os.ReadFile(filepath.Join(dir, headFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the notes of an array: %w", err)
	}
	if err := json.Unmarshal(b, &a.head); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, headFile), err)
	}
	if a.Version > headVersion {
		return nil, fmt.Errorf("%s is of a newer muster (version %d, this one knows %d)", dir, a.Version, headVersion)
	}
	names, err := os.ReadDir(dir)
	if err == nil {
		a.files[cancelFile], a.files[holdFile], err = asked(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("the notes of an array: %w", err)
	}
	for _, entry := range names {
		name := entry.Name()
		a.files[name] = true
		if p, ok := strings.CutPrefix(name, jobPrefix); ok {
			if err := a.loadJob(p); err != nil {
				return nil, err
			}
			continue
		}
		if element, start, ok := parseNoteName(name); ok {
			if err := a.loadNote(element, start); err != nil {
				return nil, err
			}
		}
	}
	for element, notes := range a.notes {
		// One that is just being written, or never was, is of no start that has done anything.
		notes = slices.DeleteFunc(notes, func(n note) bool { return n.Begun.IsZero() })
		if a.notes[element] = notes; len(notes) == 0 {
			delete(a.notes, element)
		}
	}
	return a, nil
}

// noteNames are the names of the notes in an array's folder.
func noteNames(dir string) map[string]bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // whoever loads the array will tell
	}
	names := map[string]bool{}
	for _, entry := range entries {
		if _, _, ok := parseNoteName(entry.Name()); ok {
			names[entry.Name()] = true
		}
	}
	return names
}

// knownBefore notes which starts had left word before the queue was asked, by name.
func (a *array) knownBefore(names map[string]bool) {
	a.fresh = map[int]bool{}
	for element, notes := range a.notes {
		if !names[noteName(element, len(notes))] {
			a.fresh[element] = true
		}
	}
}

func (a *array) loadJob(p string) error {
	number, err := strconv.Atoi(p)
	if err != nil {
		return nil // none of ours
	}
	b, err := os.ReadFile(filepath.Join(a.dir, jobPrefix+p))
	if err != nil {
		return fmt.Errorf("the notes of an array: %w", err)
	}
	if id := strings.TrimSpace(string(b)); isNumber(id) {
		a.jobs[number] = id
	}
	return nil
}

// asked tells what has been asked of the array with that folder.
func asked(dir string) (cancel, hold bool, err error) {
	names, err := os.ReadDir(filepath.Join(dir, askedDir))
	for _, entry := range names {
		cancel = cancel || entry.Name() == filepath.Base(cancelFile)
		hold = hold || entry.Name() == filepath.Base(holdFile)
	}
	return cancel, hold, err
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// note is what became of one start of an element.
type note struct {
	Begun   time.Time `json:"begun"`
	Node    string    `json:"node"`
	Job     string    `json:"job"` // with the task: 12.3
	Ended   time.Time `json:"ended"`
	Exit    job.Exit  `json:"exit"`
	State   job.State `json:"state"`   // how it ended
	Requeue bool      `json:"requeue"` // it asked to be started again, and will be
	Skipped bool      `json:"skipped"` // it was not run: an earlier start was lost, and it may run once
}

func (n note) ended() bool { return !n.Ended.IsZero() }

func noteName(element, start int) string {
	return strconv.Itoa(element) + "." + strconv.Itoa(start)
}

func parseNoteName(name string) (element, start int, ok bool) {
	e, s, found := strings.Cut(name, ".")
	element, err1 := strconv.Atoi(e)
	start, err2 := strconv.Atoi(s)
	return element, start, found && err1 == nil && err2 == nil && element > 0 && start > 0 && noteName(element, start) == name
}

// loadNote reads what is whole of a note: a line is written at once, and the last one
// holds all that is known.
func (a *array) loadNote(element, start int) error {
	b, err := os.ReadFile(filepath.Join(a.dir, noteName(element, start)))
	if err != nil {
		return fmt.Errorf("the notes of an element: %w", err)
	}
	var n note
	for line := range strings.Lines(string(b)) {
		if strings.HasSuffix(line, "\n") {
			// A torn or foreign line says nothing.
			var next note
			if json.Unmarshal([]byte(line), &next) == nil {
				n = next
			}
		}
	}
	all := a.notes[element]
	for len(all) < start {
		all = append(all, note{})
	}
	all[start-1] = n
	a.notes[element] = all
	return nil
}

// put writes a file that appears whole.
func put(dir, name string, content []byte) error {
	f, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), filepath.Join(dir, name))
}

// touch notes that something was asked for; the first time counts.
func touch(dir, name string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// since is when name was touched; zero when it was not.
func (a *array) since(name string) time.Time {
	st, err := os.Stat(filepath.Join(a.dir, name))
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}
