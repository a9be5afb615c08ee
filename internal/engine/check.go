package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"muster/internal/job"
)

// Variables that every engine sets for an element, over those in Array.Env.
const (
	// EnvElement is the element's number, 1…Array.Elements.
	EnvElement = "MUSTER_ELEMENT"
	// EnvArray names the element among all of the engine's: ID_ELEMENT. What an
	// element starts is found again by it.
	EnvArray = "MUSTER_ARRAY"
)

// Mark is the variable by which an element's processes are found.
func Mark(id ID, element int) string {
	return fmt.Sprintf("%s=%s_%d", EnvArray, id, element)
}

// Check says what is wrong with an array that no engine could run. It looks at
// the program and the folders too, which are as visible here as on the nodes.
// Errors: ErrRefused.
func Check(a job.Array) error {
	if err := check(a); err != nil {
		return fmt.Errorf("array %q: %w: %w", a.Tag, ErrRefused, err)
	}
	return nil
}

func check(a job.Array) error {
	if err := checkTag(a.Tag); err != nil {
		return err
	}
	if a.Elements < 1 {
		return fmt.Errorf("it has %d elements, and needs at least one", a.Elements)
	}
	if len(a.Argv) == 0 {
		return fmt.Errorf("it has no program")
	}
	for _, word := range append([]string{a.Name, a.Dir, a.LogDir}, a.Argv...) {
		if strings.ContainsRune(word, 0) {
			return fmt.Errorf("%q holds a NUL, which no program can be given", word)
		}
	}
	for _, kv := range a.Env {
		if name, _, ok := strings.Cut(kv, "="); !ok || name == "" || strings.ContainsRune(kv, 0) {
			return fmt.Errorf("its environment holds %q, which is not NAME=VALUE", kv)
		}
	}
	if err := checkProgram(a.Argv[0]); err != nil {
		return err
	}
	if err := checkDir("working folder", a.Dir); err != nil {
		return err
	}
	return checkDir("log folder", a.LogDir)
}

// checkTag keeps tags to what survives a scheduler's own listing.
func checkTag(tag string) error {
	if tag == "" || !utf8.ValidString(tag) {
		return fmt.Errorf("its tag %q is no text", tag)
	}
	for _, r := range tag {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return fmt.Errorf("its tag holds %q", r)
		}
	}
	return nil
}

func checkProgram(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("its program %q is no absolute path", path)
	}
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("its program: %w", err)
	}
	if !st.Mode().IsRegular() || st.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("its program %s is not executable", path)
	}
	return nil
}

func checkDir(what, dir string) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("its %s %q is no absolute path", what, dir)
	}
	st, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("its %s: %w", what, err)
	}
	if !st.IsDir() {
		return fmt.Errorf("its %s %s is no folder", what, dir)
	}
	return nil
}
