package rundir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// The agents of a generation with a Pool share its chunks out among themselves,
// by files that only one of them can make:
//
//	free ──Take(chunk, 1)──▶ claimed ──every task has ended──▶ done
//	                          │    ▲
//	       the owner is gone  ▼    │ Take(chunk, attempt+1)
//	                        orphaned
//
// Whether an owner is gone, its heartbeat tells (Watch), or its journal; whether
// a task has ended, the journals do. A claim is never taken back. An owner that
// was believed to be gone, and is not, finds the next attempt's claim: the chunk
// is not its own any more.

// Claims are the claims of one generation, for one agent.
type Claims struct {
	run   *Run
	owner AgentID
	fault func(step string) error
}

// ClaimOptions may be zero.
type ClaimOptions struct {
	// Fault is called before each step (write, link, stat, exclusive, fill, sync)
	// and as "linked" after the link; its error becomes the step's. For tests.
	Fault func(step string) error
}

// NewClaims makes the Claims of an agent, for the generation that it belongs to.
func (r *Run) NewClaims(owner AgentID, opt ClaimOptions) *Claims {
	if opt.Fault == nil {
		opt.Fault = func(string) error { return nil }
	}
	return &Claims{run: r, owner: owner, fault: opt.Fault}
}

// claimFile is what stands in a claim.
type claimFile struct {
	Chunk       int `json:"chunk"`
	Attempt     int `json:"attempt"`
	Generation  int `json:"generation"`
	Element     int `json:"element"`
	Incarnation int `json:"incarnation"`
}

// Take tries to become the owner of a chunk (from 1) by its claim number attempt
// (from 1). Of all that try one succeeds, on any file system that makes a link or
// an exclusive file once. After an error it is not known whether this one has: then Owner tells.
func (c *Claims) Take(chunk, attempt int) (mine bool, err error) {
	mine, err = c.take(chunk, attempt)
	if err != nil {
		return false, fmt.Errorf("claim chunk %d of generation %d: %w", chunk, c.owner.Generation, err)
	}
	return mine, nil
}

func (c *Claims) take(chunk, attempt int) (mine bool, err error) {
	name := c.run.claimPath(c.owner.Generation, chunk, attempt)
	data, err := marshal(claimFile{chunk, attempt, c.owner.Generation, c.owner.Element, c.owner.Incarnation})
	if err != nil {
		return false, err
	}
	// A fresh file for each attempt: links to one that was used before would be counted, too.
	tmp, err := writeTemp(name, func(w io.Writer) error { return errors.Join(c.fault("write"), write(w, data)) })
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.Remove(tmp)) }()
	linkErr := c.fault("link")
	if linkErr == nil {
		linkErr = errors.Join(os.Link(tmp, name), c.fault("linked"))
	}
	// A network file system may lose an answer, and report a failure when it repeats the
	// request: what counts is how many names the file has. It is opened anew for that.
	names, err := c.names(tmp)
	switch {
	case err != nil:
		return false, errors.Join(linkErr, err)
	case names == 2:
		return true, c.sync(name)
	case errors.Is(linkErr, fs.ErrExist):
		return false, nil
	case linkErr != nil && cannotLink(linkErr):
		return c.exclusive(name, data)
	case linkErr == nil:
		return false, errors.New("the file system made a link and does not count it")
	}
	return false, linkErr
}

func write(w io.Writer, data []byte) error {
	_, err := w.Write(data)
	return err
}

// names counts the names of a file.
func (c *Claims) names(name string) (int, error) {
	if err := c.fault("stat"); err != nil {
		return 0, err
	}
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return int(st.Nlink), nil
}

// exclusive claims where links are refused. The claim is empty for a moment.
func (c *Claims) exclusive(name string, data []byte) (mine bool, err error) {
	if err := c.fault("exclusive"); err != nil {
		return false, err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = fill(f, func(w io.Writer) error { return errors.Join(c.fault("fill"), write(w, data)) })
	if err != nil {
		return false, errors.Join(err, os.Remove(name))
	}
	return true, c.sync(name)
}

func (c *Claims) sync(name string) error {
	if err := c.fault("sync"); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// List tells for each chunk that was ever claimed the highest attempt.
func (c *Claims) List() (map[int]int, error) {
	names, err := readNames(c.run.claimsPath(c.owner.Generation))
	if err != nil {
		return nil, fmt.Errorf("list claims: %w", err)
	}
	attempts := make(map[int]int, len(names))
	for _, name := range names {
		if chunk, attempt, ok := parseClaimName(name); ok {
			attempts[chunk] = max(attempts[chunk], attempt)
		}
	}
	return attempts, nil
}

// Owner tells whose claim it is. The error is fs.ErrNotExist while that does not
// stand in it.
func (c *Claims) Owner(chunk, attempt int) (AgentID, error) {
	name := c.run.claimPath(c.owner.Generation, chunk, attempt)
	data, err := readFile(name)
	if err != nil {
		return AgentID{}, fmt.Errorf("read a claim: %w", err)
	}
	var f claimFile
	if err := unmarshal(data, &f); err != nil {
		return AgentID{}, &DamageError{File: name, What: err.Error()}
	}
	if f.Chunk != chunk || f.Attempt != attempt || f.Element < 1 || f.Incarnation < 1 {
		return AgentID{}, &DamageError{File: name, What: fmt.Sprintf("it speaks of attempt %d at chunk %d by %d.%d", f.Attempt, f.Chunk, f.Element, f.Incarnation)}
	}
	return AgentID{f.Generation, f.Element, f.Incarnation}, nil
}

func (r *Run) claimsPath(gen int) string { return r.path(claimsDir, strconv.Itoa(gen)) }

func (r *Run) claimPath(gen, chunk, attempt int) string {
	return filepath.Join(r.claimsPath(gen), fmt.Sprintf("%s%d.%d", claimPrefix, chunk, attempt))
}

// parseClaimName tells chunk and attempt of a file in claims/G/.
func parseClaimName(name string) (chunk, attempt int, ok bool) {
	numbers, ok := strings.CutPrefix(name, claimPrefix)
	if !ok {
		return 0, 0, false
	}
	ns, ok := parseNumbers(numbers, 2, 2)
	if !ok {
		return 0, 0, false
	}
	return ns[0], ns[1], true
}
