package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	childStage = "STAGE_TEST_DIR"
	childTree  = "STAGE_TEST_TREE"
	childSlow  = "STAGE_TEST_SLOW" // pause before each file
)

// TestMain is also the child that stages, for tests with several processes.
func TestMain(m *testing.M) {
	dir := os.Getenv(childStage)
	if dir == "" {
		os.Exit(m.Run())
	}
	pause, _ := time.ParseDuration(os.Getenv(childSlow))
	from := &counting{before: func(int) { time.Sleep(pause) }}
	t, err := Read(os.Getenv(childTree))
	var s *Store
	if err == nil {
		s, err = Open(dir, 0)
	}
	var u *Use
	if err == nil {
		u, err = s.Acquire(context.Background(), t, from)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(u.How, from.files.Load())
}

func child(t *testing.T, s *Store, tree, slow string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	c := exec.Command(self)
	c.Env = append(os.Environ(), childStage+"="+s.Dir(), childTree+"="+tree, childSlow+"="+slow)
	var out bytes.Buffer
	c.Stdout = &out
	must(t, c.Start())
	return c, &out
}

// Twenty processes want one tree: one of them copies.
func TestProcessesAcquireOnce(t *testing.T) {
	src := program(t, 100)
	file := filepath.Join(t.TempDir(), "tree.json")
	tree := describe(t, src, true)
	must(t, tree.Write(file))
	s := open(t, 0)
	var wg sync.WaitGroup
	outs := make([]*bytes.Buffer, 20)
	for i := range outs {
		var c *exec.Cmd
		c, outs[i] = child(t, s, file, "1ms")
		wg.Go(func() {
			if err := c.Wait(); err != nil {
				t.Errorf("%v: %s", err, outs[i])
			}
		})
	}
	wg.Wait()
	copied := 0
	for _, o := range outs {
		if strings.HasPrefix(o.String(), Copied) {
			copied++
		}
	}
	if copied != 1 {
		t.Errorf("%d of 20 processes copied", copied)
	}
	sameFiles(t, src, acquire(t, s, tree, nil).Files())
}

// Copiers are killed at random moments, again and again: nothing half-done is
// believed, and what was done is not done again.
func TestKilledCopiers(t *testing.T) {
	seed := uint64(1)
	if n, err := strconv.ParseUint(os.Getenv("MUSTER_TEST_SEED"), 10, 64); err == nil {
		seed = n
	}
	rounds := 4
	if n, err := strconv.Atoi(os.Getenv("MUSTER_TEST_ROUNDS")); err == nil {
		rounds = n
	}
	t.Logf("MUSTER_TEST_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	src := program(t, 200)
	file := filepath.Join(t.TempDir(), "tree.json")
	tree := describe(t, src, true)
	must(t, tree.Write(file))
	files := 0
	for i := range tree.Entries {
		if _, ok := tree.regular(i); ok {
			files++
		}
	}
	for range rounds {
		s := open(t, 0)
		fresh := 0
		for kill := 0; ; kill++ {
			slow := "5ms"
			if kill == 8 {
				slow = "0s" // this one gets to the end
			}
			c, out := child(t, s, file, slow)
			if kill < 8 {
				time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond)
				must(t, c.Process.Signal(syscall.SIGKILL))
			}
			err := c.Wait()
			if u, err := s.Has(t.Context(), tree); err == nil {
				sameFiles(t, src, u.Files()) // what is believed is whole
				u.Close()
			} else if !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if err != nil && kill < 8 {
				continue
			}
			must(t, err)
			if _, err := fmt.Sscanf(out.String(), Copied+" %d", &fresh); err != nil && !strings.HasPrefix(out.String(), Reused) {
				t.Fatal(out.String())
			}
			break
		}
		t.Logf("the last copier fetched %d of %d files", fresh, files)
		sameFiles(t, src, acquire(t, s, tree, nil).Files())
		left, err := os.ReadDir(s.Dir())
		must(t, err)
		for _, e := range left {
			if strings.HasSuffix(e.Name(), partExt) || strings.HasPrefix(e.Name(), trashStart) {
				t.Errorf("%s is left", e.Name())
			}
		}
	}
}

// filling is a source under which the disk fills up.
type filling struct{}

func (filling) Fetch(ctx context.Context, t *Tree, want []int, put Put) (string, error) {
	var n atomic.Int64
	return Central{}.Fetch(ctx, t, want, func(i int, c Content) error {
		if n.Add(1) > 3 {
			return &os.PathError{Op: "write", Path: t.Entries[i].Path, Err: unix.ENOSPC}
		}
		return put(i, c)
	})
}

// A disk that fills up while a tree comes is said, and what came goes: the tasks
// need the room.
func TestDiskFills(t *testing.T) {
	src := program(t, 20)
	tree := describe(t, src, true)
	s := open(t, 0)
	_, err := s.Acquire(t.Context(), tree, filling{})
	if !errors.Is(err, ErrSpace) || !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), s.Dir()) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.Dir(), tree.Key+".1"+partExt)); !os.IsNotExist(err) {
		t.Errorf("the part is there still: %v", err)
	}
	sameFiles(t, src, acquire(t, s, tree, Central{}).Files())
}
