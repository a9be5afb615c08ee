package winname_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/guest/wine/winetest"
	"muster/internal/guest/wine/winname"
)

// TestWine asks the real Wine: a program opens and creates each name that is fine
// or an alias, and gets the right bytes; names that are not fine do not work.
func TestWine(t *testing.T) {
	copier := winetest.Build(t, "copy")["copy"]
	prefix := winetest.Bare(t)
	dir := t.TempDir()
	prefix.Drive(t, "w", dir)
	write := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("I am "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	names := []string{
		" leading", ".hidden", "..two", "-v", "a.b.c", "con1.txt", "LONGNA~1.TXT", "long name that has a short one.text", "100% [x] $(y) 'z' `w`; & ,",
		"ünïcödé.txt", "日本.txt", "😀.txt", "\x7f", strings.Repeat("x", 200),
		"con.txt", "nul", "a:b.csv", "trailing.", "trailing ", "x\ny.dat", "bad\xffutf8.txt", "README", "readme", strings.Repeat("y", 255),
	}
	aliases := winname.Aliases(names)
	for i, name := range names {
		shown := name
		if aliases[i] != "" {
			shown = aliases[i]
		}
		write(shown)
		r := prefix.Run(t, dir, "-all", copier, `w:\`+shown, `w:\out-`+shown)
		got, err := os.ReadFile(filepath.Join(dir, "out-"+shown))
		if r.Code != 0 || err != nil || string(got) != "I am "+shown {
			t.Errorf("%q, shown as %q: exit %d, %q, %v\n%s", name, shown, r.Code, got, err, r.Stderr)
		}
	}

	// A colon would do in Wine 8.0 at this place, but programs read it as a drive or
	// a stream, as Windows does.
	for _, name := range []string{"trailing.", "trailing ", "nul", "what?"} {
		write(name)
		prefix.Run(t, dir, "-all", copier, `w:\`+name, `w:\copied`)
		if got, _ := os.ReadFile(filepath.Join(dir, "copied")); string(got) == "I am "+name {
			t.Errorf("Wine can express %q after all: Reason says %q", name, winname.Reason(name))
		}
	}
	write("Only")
	prefix.Run(t, dir, "-all", copier, `w:\oNLY`, `w:\copied`)
	if got, _ := os.ReadFile(filepath.Join(dir, "copied")); string(got) != "I am Only" {
		t.Errorf("Wine tells letter case apart: %q", got)
	}
}
