package inside

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cells are control groups, one for each program: so that it ends as a whole whatever it did with sessions and
// parents, and so that the kernel tells when it has killed something of it for lack of memory.
type cells struct {
	root string // "": there are none

	mu    sync.Mutex
	spare *cell // made beforehand, for the next program
	empty *cell // its program has gone; it is removed when another one's has
	made  int   // so many; each has a name of its own, also when another host speaks
}

// findCells makes a place for control groups in the tree of version 2, where that can be had.
func findCells() *cells {
	for _, top := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(top, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		root := filepath.Join(top, "muster."+strconv.Itoa(os.Getpid()))
		if err := os.Mkdir(root, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			continue
		}
		// Where memory is not counted in this tree, running out of it is not told.
		for _, dir := range []string{top, root} {
			_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+memory"), 0)
		}
		return &cells{root: root}
	}
	return &cells{}
}

func (c *cells) here() bool { return c.root != "" }

func (c *cells) close() {
	if c.here() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.spare.remove()
		c.empty.remove()
		_ = os.Remove(c.root)
	}
}

// cell is one program's control group. A nil one is none.
type cell struct {
	dir  string
	file *os.File // for starting a process in it
}

// stock makes a cell that the next program gets.
func (c *cells) stock() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spare != nil {
		return nil
	}
	fresh, err := c.make()
	if err == nil {
		c.spare = fresh
	}
	return err
}

// open returns a cell for a program.
func (c *cells) open() (*cell, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if spare := c.spare; spare != nil {
		c.spare = nil
		return spare, nil
	}
	return c.make()
}

// shut takes a cell back when its program has gone. To remove one is dear, and needless in a guest that ends with its
// only program: so it waits for the next.
func (c *cells) shut(old *cell) {
	c.mu.Lock()
	old, c.empty = c.empty, old
	c.mu.Unlock()
	old.remove()
}

// make makes a cell, under c.mu.
func (c *cells) make() (*cell, error) {
	if !c.here() {
		return nil, nil
	}
	c.made++
	dir := filepath.Join(c.root, strconv.Itoa(c.made))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the program's control group: %w", err)
	}
	f, err := os.Open(dir)
	if err != nil {
		_ = os.Remove(dir)
		return nil, err
	}
	return &cell{dir, f}, nil
}

// attach has a program started in the cell.
func (c *cell) attach(sys *syscall.SysProcAttr) {
	if c != nil {
		sys.UseCgroupFD, sys.CgroupFD = true, int(c.file.Fd())
	}
}

// kill kills all that is in the cell; it does not wait for its end.
func (c *cell) kill() error { return c.write("cgroup.kill", "1") }

// freeze stops all that is in the cell, or lets it go on.
func (c *cell) freeze(on bool) error {
	if on {
		return c.write("cgroup.freeze", "1")
	}
	return c.write("cgroup.freeze", "0")
}

func (c *cell) write(name, text string) error {
	return os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0)
}

// clear kills what is left in the cell and waits until it has gone. What the kernel cannot end
// (a process that waits for a disk that does not answer) is left alone after limit.
func (c *cell) clear(limit time.Duration) {
	if c == nil {
		return
	}
	for until := time.Now().Add(limit); c.value("cgroup.events", "populated") != 0; {
		if c.kill() != nil || time.Now().After(until) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// outOfMemory: the kernel has killed something in the cell for lack of memory.
func (c *cell) outOfMemory() bool { return c != nil && c.value("memory.events", "oom_kill") > 0 }

// value is a number in a file of lines NAME NUMBER; 0 when it is not there.
func (c *cell) value(file, name string) int64 {
	b, err := os.ReadFile(filepath.Join(c.dir, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if key, text, _ := strings.Cut(strings.TrimSpace(line), " "); key == name {
			n, _ := strconv.ParseInt(text, 10, 64) // 0 when it is none
			return n
		}
	}
	return 0
}

// remove removes the cell.
func (c *cell) remove() {
	if c == nil {
		return
	}
	_ = c.file.Close()
	for range 50 { // dying processes may hold it for a moment
		if err := os.Remove(c.dir); !errors.Is(err, syscall.EBUSY) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}
