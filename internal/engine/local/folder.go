package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/engine"
)

// Root/local holds a folder for each array, 0700:
//
//	17/             array local-17
//	  events        what has happened, see journal.go; its first record is the head
//	  heartbeat     a counter, written by the supervisor every beat, for readers on other hosts
//	  supervisor.log  what the supervisor had to say; empty unless something went wrong
//	  cancel, hold  requests: empty files that are there or not
//	.new-*          an array that is being submitted; becomes one by a rename, or goes
//	.old-*          one that is being removed
//
// An array with n elements takes n numbers from its own on, for Slurm's job
// numbers are like that: each element has one.
const (
	eventsFile    = "events"
	heartbeatFile = "heartbeat"
	logFile       = "supervisor.log"
	cancelFile    = "cancel"
	holdFile      = "hold"
	newPrefix     = ".new-"
	oldPrefix     = ".old-"
	idPrefix      = "local-"
)

func idOf(n int) engine.ID { return engine.ID(idPrefix + strconv.Itoa(n)) }

func dirOf(base string, n int) string { return filepath.Join(base, strconv.Itoa(n)) }

// numberOf is 0 for what is no ID of this engine.
func numberOf(id engine.ID) int {
	digits, ok := strings.CutPrefix(string(id), idPrefix)
	if !ok {
		return 0
	}
	return number(digits)
}

// number reads the name of an array's folder; 0 for any other name.
func number(name string) int {
	n, err := strconv.Atoi(name)
	if err != nil || n < 1 || strconv.Itoa(n) != name {
		return 0
	}
	return n
}

// arrays lists the numbers of the arrays below base, ascending.
func arrays(base string) ([]int, error) {
	names, err := readNames(base)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, name := range names {
		if n := number(name); n > 0 {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

func readNames(base string) ([]string, error) {
	d, err := os.Open(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the local arrays: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("listing the local arrays: %w", err)
	}
	return names, nil
}

// makeBase makes the folder of the arrays, and refuses one that others can write.
func makeBase(base string) error {
	if err := os.MkdirAll(base, 0o700); err != nil {
		return fmt.Errorf("making the folder of local arrays: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(base, &st); err != nil {
		return fmt.Errorf("looking at %s: %w", base, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return fmt.Errorf("%s: %w: it must be a folder of your own that nobody else can write (chmod 700)", base, engine.ErrRefused)
	}
	return nil
}

// adopt gives the folder of a submission its number, by which it becomes an
// array. Numbers are never given twice: the last array's folder is never removed.
func adopt(base, fresh string) (int, error) {
	for {
		numbers, err := arrays(base)
		if err != nil {
			return 0, err
		}
		n := 1
		if len(numbers) > 0 {
			last := numbers[len(numbers)-1]
			h, err := readHead(dirOf(base, last))
			if err != nil {
				return 0, err
			}
			n = last + 1
			if h != nil {
				n = last + h.Elements
			}
		}
		// An array's folder is never empty, so this never replaces one.
		err = os.Rename(fresh, dirOf(base, n))
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, unix.ENOTEMPTY) {
			return 0, fmt.Errorf("giving the array its number: %w", err)
		}
	}
}

const (
	keepEnded   = 7 * 24 * time.Hour // how long ended arrays can be asked about
	keepAborted = time.Hour          // a submission takes seconds; older ones were cut short
)

// sweep removes the folders of arrays that ended long ago and of submissions
// that were cut short. The newest array stays, whatever its age: its number
// tells the next one. stop is asked between the folders.
func sweep(base string, now time.Time, stop func() bool) error {
	names, err := readNames(base)
	if err != nil {
		return err
	}
	newest := 0
	for _, name := range names {
		newest = max(newest, number(name))
	}
	var errs []error
	for _, name := range names {
		if stop() {
			break
		}
		dir := filepath.Join(base, name)
		switch n := number(name); {
		case n == newest && n > 0:
		case n > 0:
			if olderThan(filepath.Join(dir, eventsFile), now, keepEnded) && over(base, n) {
				errs = append(errs, remove(base, name))
			}
		case strings.HasPrefix(name, newPrefix), strings.HasPrefix(name, oldPrefix):
			if olderThan(dir, now, keepAborted) {
				errs = append(errs, os.RemoveAll(dir))
			}
		}
	}
	return errors.Join(errs...)
}

func olderThan(path string, now time.Time, age time.Duration) bool {
	st, err := os.Lstat(path)
	return err == nil && now.Sub(st.ModTime()) > age
}

func over(base string, n int) bool {
	r, err := report(base, idOf(n))
	return err == nil && r.State.Ended()
}

// remove takes the folder out of sight first, so that nobody meets half of it.
func remove(base, name string) error {
	old := filepath.Join(base, oldPrefix+name)
	if err := os.Rename(filepath.Join(base, name), old); err != nil {
		return fmt.Errorf("removing an old local array: %w", err)
	}
	return os.RemoveAll(old)
}
