package wine

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// copyTree copies a folder. Links that stay inside it remain links; others, and
// anything that is neither file nor folder, are an error.
func copyTree(from, to string) error {
	root, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer root.Close()
	out, err := makeRoot(to)
	if err != nil {
		return err
	}
	defer out.Close()
	return fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == "." {
			return err
		}
		switch d.Type() {
		case fs.ModeDir:
			return out.Mkdir(p, 0o700)
		case fs.ModeSymlink:
			link, err := root.Readlink(p)
			if err != nil {
				return err
			}
			if err := staysInside(p, link); err != nil {
				return err
			}
			return out.Symlink(link, p)
		case 0:
			return copyRooted(root, out, p)
		}
		return fmt.Errorf("%s is neither file, folder nor link", p)
	})
}

func makeRoot(dir string) (*os.Root, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return os.OpenRoot(dir)
}

// staysInside makes sure that the link at path, below some root, does not lead
// out of it.
func staysInside(path, link string) error {
	if filepath.IsAbs(link) || !filepath.IsLocal(filepath.Join(filepath.Dir(path), link)) {
		return fmt.Errorf("the link %s leads outside (%s)", path, link)
	}
	return nil
}

func copyRooted(from, to *os.Root, path string) error {
	in, err := from.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := to.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, st.Mode().Perm()|0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// sameContent reports whether two files hold the same.
func sameContent(a, b string) bool {
	fa, err := os.Open(a)
	if err != nil {
		return false
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return false
	}
	defer fb.Close()
	sa, errA := fa.Stat()
	sb, errB := fb.Stat()
	if errA != nil || errB != nil || sa.Size() != sb.Size() {
		return false
	}
	bufA, bufB := make([]byte, 128<<10), make([]byte, 128<<10)
	for {
		n, errA := io.ReadFull(fa, bufA)
		m, errB := io.ReadFull(fb, bufB)
		if n != m || !bytes.Equal(bufA[:n], bufB[:m]) {
			return false
		}
		if errA != nil || errB != nil {
			return atEnd(errA) && atEnd(errB)
		}
	}
}

func atEnd(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

// hashTree adds a file, or everything in a folder, to h: names, kinds and links,
// and of files the content, or else size and time.
func hashTree(h hash.Hash, path string, content bool) error {
	return filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(path, p)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%q %v\n", rel, d.Type())
		switch d.Type() {
		case fs.ModeSymlink:
			link, err := os.Readlink(p)
			fmt.Fprintf(h, "%q\n", link)
			return err
		case 0:
			return hashOne(h, p, content)
		}
		return nil
	})
}

func hashOne(h hash.Hash, path string, content bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if !content {
		st, err := f.Stat()
		if err == nil {
			fmt.Fprintf(h, "%d %d\n", st.Size(), st.ModTime().UnixNano())
		}
		return err
	}
	one := sha256.New()
	if _, err := io.Copy(one, f); err != nil {
		return err
	}
	fmt.Fprintf(h, "%x\n", one.Sum(nil))
	return nil
}
