package wine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"muster/internal/guest"
)

// profile is the folders that Windows' environment variables tell a program of: its user's and that for
// temporary files. Wine takes them from the registry, which all programs of a server share, whatever the
// environment says that a program is started with. So images have it refer to that: the folder for temporary files is
// the value of a variable of muster's, and the others are not there. A full boot brings the others back.
type profile struct {
	dir  string // as in C:\users\ada
	temp string
}

// envTemp names the folder for temporary files to the registry.
const envTemp = "MUSTER_WINE_TEMP"

const volatile = "Volatile Environment"

// profileValues are the values that images do not have. Whoever starts a program gives it variables of these names.
var profileValues = []value{
	{key: volatile, name: "APPDATA"}, {key: volatile, name: "CLIENTNAME"}, {key: volatile, name: "HOMEDRIVE"},
	{key: volatile, name: "HOMEPATH"}, {key: volatile, name: "HOMESHARE"}, {key: volatile, name: "LOCALAPPDATA"},
	{key: volatile, name: "LOGONSERVER"}, {key: volatile, name: "SESSIONNAME"}, {key: volatile, name: "USERDOMAIN"},
	{key: volatile, name: "USERNAME"}, {key: volatile, name: "USERPROFILE"},
}

// looseProfile makes an image's registry refer to the environment.
func looseProfile(prefix string) error {
	path := filepath.Join(prefix, "user.reg")
	if err := editRegistry(path, nil, profileValues); err != nil {
		return err
	}
	for _, name := range []string{"TEMP", "TMP"} {
		if err := editExpand(path, "Environment", name, "%"+envTemp+"%"); err != nil {
			return err
		}
	}
	return nil
}

// isProfile reports whether a variable is one of a profile.
func isProfile(name string) bool {
	return slices.ContainsFunc(profileValues, func(v value) bool { return strings.EqualFold(v.name, name) })
}

// usersDir is the folder of users, below a prefix.
const usersDir = "drive_c/users/"

// tempPlaces are where versions of Wine have a user's folder for temporary files.
var tempPlaces = []string{"Temp", "AppData/Local/Temp"}

// sharedProfile is that of an image's user.
func sharedProfile(user string, steps []step) profile {
	temp := tempPlaces[0]
	for _, place := range tempPlaces {
		if slices.Contains(steps, step{do: 'd', path: usersDir + user + "/" + place}) {
			temp = place
			break
		}
	}
	dir := `C:\users\` + user
	return profile{dir: dir, temp: dir + `\` + strings.ReplaceAll(temp, "/", `\`)}
}

// own is a profile for the n-th program of a server, beside this one.
func (p profile) own(n int64) profile {
	number := strconv.FormatInt(n, 10)
	return profile{dir: p.dir + "." + number, temp: p.temp + `\` + number}
}

// folders are the folders of an own profile on the host, parents first. After a full boot
// nobody is told of the user's.
func (p profile) folders(h home, lean bool) []string {
	host := func(windows string) string {
		return h.prefix() + "/drive_c" + strings.ReplaceAll(strings.TrimPrefix(windows, "C:"), `\`, "/")
	}
	if !lean {
		return []string{host(p.temp)}
	}
	return []string{host(p.temp), host(p.dir), host(p.dir + `\AppData`), host(p.dir + `\AppData\Roaming`), host(p.dir + `\AppData\Local`)}
}

// make makes the folders of an own profile.
func (p profile) make(h home, lean bool) error {
	for _, dir := range p.folders(h, lean) {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return errors.Join(fmt.Errorf("making a program's own folders: %w", err), p.remove(h, lean))
		}
	}
	return nil
}

// remove removes them, with what the program has left there.
func (p profile) remove(h home, lean bool) error {
	dirs := p.folders(h, lean)
	return errors.Join(guest.RemoveAll(dirs[0]), guest.RemoveAll(dirs[min(1, len(dirs)-1)]))
}

// environ is what the profile puts into a program's environment.
func (p profile) environ(user, machine string) []string {
	if p == (profile{}) {
		return nil // Windows is being set up
	}
	return []string{
		envTemp + "=" + p.temp,
		"USERPROFILE=" + p.dir, "HOMEDRIVE=C:", "HOMEPATH=" + strings.TrimPrefix(p.dir, "C:"),
		"APPDATA=" + p.dir + `\AppData\Roaming`, "LOCALAPPDATA=" + p.dir + `\AppData\Local`,
		"USERNAME=" + user, "USERDOMAIN=" + machine, `LOGONSERVER=\\` + machine, "CLIENTNAME=Console", "SESSIONNAME=Console",
	}
}
