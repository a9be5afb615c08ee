package rundir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

var errCrash = errors.New("crash")

// A crash at each step of publication, then Recover: what is published is
// told, what is not runs again and can then be published, and nothing is left.
func TestCrashAtEachStep(t *testing.T) {
	for _, how := range []string{"link", "rename", "copy", "folder"} {
		for crash := 0; ; crash++ {
			var steps []string
			done := crashOnce(t, how, crash, &steps)
			if done {
				if crash < 4 {
					t.Errorf("%s: only %v", how, steps)
				}
				break
			}
		}
	}
}

// crashOnce publishes until the crash-th step and recovers; done: there was no such step.
func crashOnce(t *testing.T, how string, crash int, steps *[]string) (done bool) {
	out := t.TempDir()
	fault := func(step string) error {
		*steps = append(*steps, step)
		if len(*steps) == crash+1 {
			panic(errCrash)
		}
		switch {
		case step == "link" && how != "link", step == "rename" && how == "copy":
			return unix.EOPNOTSUPP
		}
		return nil
	}
	p, err := NewPublisher(out, 12, "tok", PublisherOptions{Fault: fault})
	if err != nil {
		t.Fatal(err)
	}
	var tmp string
	if how == "folder" {
		tmp = leaveFolder(t, p, 5, 1, "a", "one", "two")
	} else {
		tmp = leave(t, p, 5, 1, "a", "hello")
	}
	recorded := false
	func() {
		defer func() {
			if e := recover(); e != nil && e != errCrash {
				panic(e)
			}
		}()
		if _, err := p.Publish(tmp, "sub/a.out"); err != nil {
			t.Fatal(err)
		}
		recorded = true
		if err := p.Release("5.1"); err != nil {
			t.Fatal(err)
		}
		done = true
	}()
	p.root.Close()
	name := fmt.Sprintf("%s, crash at %v", how, *steps)

	r, err := Recover(t.Context(), out, 12, RecoverOptions{
		Final: func(task int, name string) string {
			if task == 5 && name == "a" {
				return "sub/a.out"
			}
			return ""
		},
		Completed: func(int) bool { return recorded },
	})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	final := filepath.Join(out, "sub/a.out")
	_, statErr := os.Lstat(final)
	there := statErr == nil
	switch {
	case recorded:
		if !there || len(r.Published) > 0 {
			t.Errorf("%s: recorded; there: %v; found %+v", name, there, r.Published)
		}
	case there != (len(r.Published) == 1):
		t.Errorf("%s: there: %v; found %+v", name, there, r.Published)
	case there:
		got := r.Published[0]
		want := Recovered{Task: 5, Attempt: 1, Token: "tok", Output: Output{Name: "sub/a.out", Size: 5, Hash: hashOf("hello")}}
		if how == "folder" {
			want.Output = Output{Name: "sub/a.out", Size: 6}
		}
		if got != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if err := r.Clean(); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if names := namesIn(t, out); slices.ContainsFunc(names, func(n string) bool { return n != "sub" }) {
		t.Errorf("%s: left %v", name, names)
	}
	if !there {
		next, err := NewPublisher(out, 12, "next", PublisherOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := next.Publish(leave(t, next, 5, 2, "a", "again"), "sub/a.out"); err != nil {
			t.Errorf("%s: the next attempt: %v", name, err)
		}
		if err := errors.Join(next.Release("5.2"), next.Close()); err != nil {
			t.Error(err)
		}
	}
	return done
}

func TestRecoverRestoresALostName(t *testing.T) {
	out := t.TempDir()
	p := newTestPublisher(t, out, nil)
	tmp := leave(t, p, 1, 1, "a", "hello")
	if _, err := p.Publish(tmp, "a.out"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(out, "a.out")); err != nil { // as a power cut may do
		t.Fatal(err)
	}
	r, err := Recover(t.Context(), out, 12, RecoverOptions{
		Final: func(int, string) string { return "a.out" }, Completed: func(int) bool { return true }})
	if err != nil || len(r.Restored) != 1 || r.Restored[0].Output.Hash != hashOf("hello") || content(t, filepath.Join(out, "a.out")) != "hello" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRecoverLeavesOthersAlone(t *testing.T) {
	out := t.TempDir()
	other := t.TempDir()
	for _, dir := range []string{".muster-12-live", ".muster-12-dead", ".muster-13-else", ".muster-121-x", ".muster-12-dead/not an attempt"} {
		if err := os.Mkdir(filepath.Join(out, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink(other, filepath.Join(out, ".muster-12-link")), os.WriteFile(filepath.Join(other, "keep"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	r, err := Recover(t.Context(), out, 12, RecoverOptions{
		Final:     func(int, string) string { return "a" },
		Completed: func(int) bool { return false },
		Live:      func(token string) bool { return token == "live" },
	})
	if err != nil || len(r.Published)+len(r.Restored) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := r.Clean(); err != nil {
		t.Error(err)
	}
	if names := namesIn(t, out); !slices.Equal(names, []string{".muster-12-link", ".muster-12-live", ".muster-121-x", ".muster-13-else"}) {
		t.Error(names)
	}
	if names := namesIn(t, other); len(names) != 1 {
		t.Error(names)
	}
	if r, err := Recover(t.Context(), filepath.Join(out, "missing"), 12, RecoverOptions{}); err != nil || r.Clean() != nil {
		t.Error(err)
	}
}

// Somebody else's file under the final name is not taken for ours.
func TestRecoverIsNotFooled(t *testing.T) {
	out := t.TempDir()
	p := newTestPublisher(t, out, nil)
	leave(t, p, 1, 1, "a", "hello")
	if err := os.WriteFile(filepath.Join(out, "a.out"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A second link that the program itself has made.
	if err := os.Link(filepath.Join(p.Dir(), "1.1/a"), filepath.Join(p.Dir(), "1.1/b")); err != nil {
		t.Fatal(err)
	}
	r, err := Recover(t.Context(), out, 12, RecoverOptions{
		Final: func(int, string) string { return "a.out" }, Completed: func(int) bool { return false }})
	if err != nil || len(r.Published)+len(r.Restored) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
