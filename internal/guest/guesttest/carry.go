package guesttest

import (
	"os"
	"path/filepath"
	"syscall"
)

// carriedTree: folders, links, modes and odd names come back, also when the program failed.
func carriedTree(h *harness) {
	i := h.open("i")
	out := filepath.Join(h.folders.Out, "1", "tree")
	if e, _, errs := h.run(i, h.c.Tree(h.path(i, out)), ""); e.Code != 3 {
		h.t.Fatalf("%v %s %s", e, e.Detail, errs)
	}
	if st, err := os.Lstat(filepath.Join(out, "run me")); err != nil || st.Mode().Perm()&0o100 == 0 {
		h.t.Errorf("the program: %v, %v", st, err)
	}
	if b, err := os.ReadFile(filepath.Join(out, "a b", "ü\n")); err != nil || string(b) != "deep\n" {
		h.t.Errorf("the file in the folder: %q, %v", b, err)
	}
	if to, err := os.Readlink(filepath.Join(out, "link")); err != nil || to != "a b/ü\n" {
		h.t.Errorf("the link: %q, %v", to, err)
	}
}

// carriedAfterCancel: what it has written until then is there.
func carriedAfterCancel(h *harness) {
	i := h.open("i")
	file := filepath.Join(h.folders.Out, "1", "before")
	p, started := h.watched(i, filepath.Join(h.folders.Out, "1", "s"), func(sign string) Program {
		return h.c.Leave(h.path(i, file), sign)
	})
	h.eventually("it has started", started.made)
	if e := h.end(p); e.Signal != int(syscall.SIGKILL) {
		h.t.Errorf("%v %s", e, e.Detail)
	}
	if _, err := os.Lstat(file); err != nil {
		h.t.Error(err)
	}
}

// carriedAnew: an input that has changed since the instance saw it is the new one, whatever stood there before.
func carriedAnew(h *harness) {
	i := h.open("i")
	real, link := filepath.Join(h.scratch, "real"), filepath.Join(h.folders.In, "1", "input")
	if err := os.Symlink(real, link); err != nil {
		h.t.Fatal(err)
	}
	for _, text := range []string{"first, and long\n", "second\n", ""} {
		if err := os.WriteFile(real, []byte(text), 0o600); err != nil {
			h.t.Fatal(err)
		}
		if e, out, errs := h.run(i, h.c.Read(h.path(i, link)), ""); !e.OK() || out != text {
			h.t.Errorf("%v %s: %q, want %q; %s", e, e.Detail, out, text, errs)
		}
	}
}
