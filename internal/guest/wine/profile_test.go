package wine_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muster/internal/guest"
	"muster/internal/guest/wine"
	"muster/internal/guest/wine/winetest"
)

// Two private programs under one server have folders of their own, which are there while they run and gone
// afterwards; one that is not private has the instance's. After a full boot the user's folder is shared.
func TestPrivateProfile(t *testing.T) {
	winetest.NeedWine(t)
	for _, tc := range []struct {
		boot string
		own  bool // the user's folder
	}{{wine.BootLean, true}, {wine.BootFull, false}} {
		t.Run(tc.boot, func(t *testing.T) { privateProfile(t, tc.boot, tc.own) })
	}
}

func privateProfile(t *testing.T, boot string, ownUser bool) {
	dir := t.TempDir()
	script := filepath.Join(dir, "tell.bat")
	const tell = "@echo off\r\necho x>%TEMP%\\here\r\necho x>%APPDATA%\\there\r\necho x>%LOCALAPPDATA%\\there\r\n" +
		"if not exist %TMP%\\here exit 3\r\nif not exist %APPDATA%\\there exit 4\r\nif not exist %LOCALAPPDATA%\\there exit 5\r\n" +
		"echo %TEMP%\r\necho %USERPROFILE%\r\n"
	if err := os.WriteFile(script, []byte(tell), 0o755); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, boot, dir, nil)
	folders := func(private bool) (temp, user string) {
		t.Helper()
		_, done := w.startWith(guest.Command{Program: script, Env: os.Environ(), Private: private})
		r := done()
		lines := strings.Split(r.out, "\r\n")
		if !r.OK() || len(lines) != 3 {
			t.Fatalf("%+v %q %q", r.Exit, r.out, r.err)
		}
		return lines[0], lines[1]
	}
	temp, user := folders(false)
	if !strings.HasPrefix(user, `C:\users\`) || !strings.HasPrefix(temp, user+`\`) {
		t.Errorf("the instance's folders are %s and %s", temp, user)
	}
	seen := []string{temp}
	for range 2 {
		ownTemp, u := folders(true)
		if slices.Contains(seen, ownTemp) || !strings.HasPrefix(ownTemp, temp+`\`) || (u != user) != ownUser || ownUser && slices.Contains(seen, u) {
			t.Errorf("a private program has %s and %s, the instance %s and %s", ownTemp, u, temp, user)
		}
		seen = append(seen, ownTemp, u)
	}
	// Of the private ones nothing is left.
	users := filepath.Join(w.place.Dir, "0/.wine/drive_c/users")
	names, err := filepath.Glob(users + "/*.[0-9]*")
	if err != nil || len(names) > 0 {
		t.Errorf("left: %v %v", names, err)
	}
	own := filepath.Join(users, strings.ReplaceAll(strings.TrimPrefix(temp, `C:\users\`), `\`, "/"))
	left, err := os.ReadDir(own)
	if err != nil || len(left) != 1 || left[0].Name() != "here" {
		t.Errorf("in the instance's folder for temporary files are %v, %v", left, err)
	}
}
