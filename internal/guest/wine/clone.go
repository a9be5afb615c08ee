package wine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"muster/internal/image"
)

// A clone is a prefix of its own made from an image. Copied: the registry
// (the server rewrites it in place), small files. Real folders, so that what a
// program creates, replaces or deletes in them is the clone's: C: itself, Windows'
// own, Program Files, ProgramData, the users' and all that the user added.
// Linked: what belongs to Windows alone, so that a program is refused there, since the
// image's files and folders are read-only; and big files.
//
// Each file or folder that is made costs 2 to 400 microseconds, by file system.

const (
	copyLimit = 64 << 10 // files up to this size are copied
	realLimit = 64       // folders with more entries are linked as a whole
)

// sealed are the folders below C: that are linked, "*" being any user.
var sealed = []string{
	"windows/system32", "windows/syswow64", "windows/winsxs", "windows/globalization", "windows/resources",
	"windows/performance", "windows/inf", "windows/twain_64", "windows/twain_32",
	"Program Files*/Common Files", "Program Files*/Internet Explorer", "Program Files*/Windows Media Player", "Program Files*/Windows NT",
	"ProgramData/Microsoft", "users/*/AppData/Roaming/Microsoft/Windows",
}

// step is one thing to do for a clone; paths are below the prefix.
type step struct {
	do   byte // 'd' folder, 'c' copy, 'l' link into the image, 's' a symbolic link as it is
	path string
	link string
}

// plan lists what a clone is made of, from the stock of the image: once per node.
func plan(entries []image.Entry) []step {
	count := map[string]int{} // folder → entries
	for _, e := range entries {
		count[path.Dir(e.Path)]++
	}
	var steps []step
	linked := "" // the folder just linked: what is below it is there already
	for _, e := range entries {
		at, ok := strings.CutPrefix(e.Path, prefixName+"/")
		if !ok || linked != "" && strings.HasPrefix(at, linked+"/") {
			continue
		}
		inC, isC := strings.CutPrefix(at, "drive_c/")
		switch {
		case e.Mode.IsDir():
			if isC && whole(inC, count[e.Path]) {
				steps = append(steps, step{do: 'l', path: at})
				linked = at
			} else {
				steps = append(steps, step{do: 'd', path: at})
			}
		case e.Mode&fs.ModeSymlink != 0 && !filepath.IsAbs(e.Link) && !filepath.IsLocal(filepath.Join(filepath.Dir(at), e.Link)):
			steps = append(steps, step{do: 'l', path: at}) // out of the prefix, to the Wine in the image
		case e.Mode&fs.ModeSymlink != 0:
			steps = append(steps, step{do: 's', path: at, link: e.Link})
		case !isC || e.Size <= copyLimit || strings.HasPrefix(inC, "users/"):
			steps = append(steps, step{do: 'c', path: at})
		default:
			steps = append(steps, step{do: 'l', path: at})
		}
	}
	return steps
}

// whole reports whether a folder of C: is linked as a whole.
func whole(inC string, entries int) bool {
	for _, pattern := range sealed {
		if ok, err := path.Match(pattern, inC); ok && err == nil {
			return true
		}
	}
	return entries > realLimit && !strings.HasPrefix(inC, "users/")
}

// imageLink is the link in a server's home that leads to the image's prefix.
// Links into the image go through it, so that they are short: a file system
// keeps short ones in the inode.
const imageLink = "i"

// temporary are the folders below C: that programs take for temporary files.
var temporary = []string{"windows/temp", "users/*/Temp", "users/*/AppData/Local/Temp"}

func isTemporary(at string) bool {
	inC, ok := strings.CutPrefix(at, "drive_c/")
	return ok && slices.ContainsFunc(temporary, func(pattern string) bool {
		ok, err := path.Match(pattern, inC)
		return ok && err == nil
	})
}

// clone makes the prefix of a server in its home h from the image tree. The
// folders for temporary files are links to temp, unless that is "". A lean one gets
// a registry of its own kind.
func clone(tree string, steps []step, h home, temp string, lean bool) error {
	if err := os.Mkdir(h.prefix(), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(h.tmp(), 0o700); err != nil {
		return err
	}
	from := filepath.Join(tree, prefixName)
	if err := os.Symlink(from, filepath.Join(string(h), imageLink)); err != nil {
		return err
	}
	for _, s := range steps {
		to := h.prefix() + "/" + s.path
		var err error
		switch {
		case s.do == 'd' && temp != "" && isTemporary(s.path):
			err = os.Symlink(temp, to)
		case s.do == 'd':
			err = os.Mkdir(to, 0o700)
		case s.do == 's':
			err = os.Symlink(s.link, to)
		case s.do == 'c' && s.path == systemRegistry && lean:
			err = cloneLeanRegistry(tree, to)
		case s.do == 'c':
			err = copyFile(from+"/"+s.path, to)
		case s.do == 'l':
			up := strings.Repeat("../", strings.Count(s.path, "/")+1)
			err = os.Symlink(up+imageLink+"/"+s.path, to)
		}
		if err != nil {
			return fmt.Errorf("cloning %s: %w", s.path, err)
		}
	}
	return nil
}

// copyFile copies a file; the copy can be written by its owner.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
