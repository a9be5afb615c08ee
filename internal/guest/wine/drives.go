package wine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"muster/internal/guest"
)

// drives are the drive letters of an instance with the host folders behind them.
type drives []drive

type drive struct {
	letter string // lower case
	host   string // absolute
}

// Letters that an instance has of its own.
const (
	driveC       = "c"
	driveIn      = "i"
	driveOut     = "o"
	driveWork    = "w"
	driveProgram = "p"
)

// newDrives settles the drives of a place. Those that the user asked for come
// on top, and may not take the place of one of muster's.
func newDrives(f guest.Folders, extra map[string]string) (drives, error) {
	var d drives
	for _, own := range []drive{{driveIn, f.In}, {driveOut, f.Out}, {driveWork, f.Work}, {driveProgram, f.Program}} {
		if own.host != "" {
			d = append(d, own)
		}
	}
	for letter, host := range extra {
		l := strings.TrimSuffix(strings.ToLower(letter), ":")
		if len(l) != 1 || l[0] < 'a' || l[0] > 'z' {
			return nil, fmt.Errorf("%w: %q is no drive letter", guest.ErrUnfit, letter)
		}
		if slices.Contains([]string{driveC, driveIn, driveOut, driveWork, driveProgram}, l) {
			return nil, fmt.Errorf("%w: drive %s: is muster's own (C: the system, I: inputs, O: outputs, W: work, P: the program); take another letter", guest.ErrUnfit, strings.ToUpper(l))
		}
		st, err := os.Stat(host)
		if err != nil {
			return nil, fmt.Errorf("%w: drive %s: %w", guest.ErrLacking, strings.ToUpper(l), err)
		}
		if !st.IsDir() {
			return nil, fmt.Errorf("%w: drive %s: %s is not a folder", guest.ErrLacking, strings.ToUpper(l), host)
		}
		abs, err := filepath.Abs(host)
		if err != nil {
			return nil, err
		}
		d = append(d, drive{l, abs})
	}
	slices.SortFunc(d, func(a, b drive) int { return strings.Compare(a.letter, b.letter) })
	return d, nil
}

// link makes the drives in a prefix's dosdevices.
func (d drives) link(prefix string) error {
	for _, one := range d {
		if err := os.Symlink(one.host, filepath.Join(prefix, "dosdevices", one.letter+":")); err != nil {
			return fmt.Errorf("making drive %s: %w", strings.ToUpper(one.letter), err)
		}
	}
	return nil
}

// path says how a Windows program names a host path: by the drive whose folder
// is nearest above it.
func (d drives) path(host string) (string, error) {
	if !filepath.IsAbs(host) {
		return "", fmt.Errorf("%w: %s is not absolute", guest.ErrPath, host)
	}
	host = filepath.Clean(host)
	best, rest := drive{}, ""
	for _, one := range d {
		below, ok := strings.CutPrefix(host, strings.TrimSuffix(one.host, "/"))
		if !ok || below != "" && below[0] != '/' || len(one.host) <= len(best.host) {
			continue
		}
		best, rest = one, below
	}
	if best.letter == "" {
		return "", fmt.Errorf("%w: %s lies on no drive; --drive LETTER=FOLDER would give it one", guest.ErrPath, host)
	}
	return strings.ToUpper(best.letter) + `:\` + strings.ReplaceAll(strings.TrimPrefix(rest, "/"), "/", `\`), nil
}
