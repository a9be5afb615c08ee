package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// patience is how long a test waits for what has to happen. It is no figure that
// anything is measured by.
const patience = 30 * time.Second

// A Watch sees real processes come, and go.
func TestWatch(t *testing.T) {
	word := fmt.Sprintf("watched-%d", os.Getpid())
	const n = 5
	w, err := NewWatch(Prey{Name: "sh", Word: word}, n)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all []*exec.Cmd
	for range n {
		c := exec.Command("sh", "-c", "read -r line", word)
		if _, err := c.StdinPipe(); err != nil { // it reads until Wait closes this end
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if err := w.WaitUp(ctx); err != nil {
		t.Error(err)
	}
	for _, c := range all {
		if err := c.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = c.Wait() // killed, which it tells
	}
	seen, err := w.End(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if seen.Most != n || seen.Up <= 0 || seen.Down <= 0 {
		t.Errorf("seen %+v, want %d", seen, n)
	}
	if again, err := w.End(ctx); err != nil || again != seen {
		t.Errorf("the second time %+v, %v", again, err)
	}
}

// One that waits in vain ends when it is told to, with what there was.
func TestWatchInVain(t *testing.T) {
	w, err := NewWatch(Prey{Name: "sh", Word: "nobody has this word"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen, err := w.End(ctx)
	if err != nil || seen != (Seen{}) {
		t.Errorf("seen %+v, %v", seen, err)
	}
}

// What lives before anything is started would be counted with it.
func TestWatchRefusesOldOnes(t *testing.T) {
	word := fmt.Sprintf("old-%d", os.Getpid())
	c := exec.Command("sh", "-c", "read -r line", word)
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stdin.Close(); _ = c.Wait() }() // read has seen an end, which is no success
	if w, err := NewWatch(Prey{Name: "sh", Word: word}, 1); err == nil {
		t.Error("it is counted")
		_, _ = w.End(t.Context())
	}
}
