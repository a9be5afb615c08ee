package wine

import (
	"archive/tar"
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"muster/internal/guest"
)

// carry puts the user's own Wine, a folder or a tar archive (plain, gzip,
// bzip2), into the folder to. Nothing lands outside it, whatever the names and
// links of the archive say.
func carry(ctx context.Context, from, to string) error {
	st, err := os.Stat(from)
	if err != nil {
		return fmt.Errorf("%w: --wine: %w", guest.ErrLacking, err)
	}
	if st.IsDir() {
		err = copyTree(from, to)
	} else {
		err = untar(ctx, from, to)
	}
	if err != nil {
		return fmt.Errorf("%w: --wine %s: %w", guest.ErrLacking, from, err)
	}
	return nil
}

// untar expands an archive. Names are checked, everything is made through
// os.Root, and links are judged once all is there.
func untar(ctx context.Context, archive, to string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := decompress(f)
	if err != nil {
		return err
	}
	root, err := makeRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("it is no tar archive, or a damaged one: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := expand(root, h, r); err != nil {
			return err
		}
	}
	return checkLinks(root)
}

// decompress recognises the compression by its first bytes.
func decompress(f *os.File) (io.Reader, error) {
	b := bufio.NewReaderSize(f, 64<<10)
	magic, err := b.Peek(6)
	if err != nil {
		return nil, errors.New("it is too short for an archive")
	}
	switch {
	case magic[0] == 0x1F && magic[1] == 0x8B:
		return gzip.NewReader(b)
	case string(magic[:3]) == "BZh":
		return bzip2.NewReader(b), nil
	case string(magic) == "\xFD7zXZ\x00":
		return nil, errors.New("it is compressed with xz; unpack it first: xz -d")
	case string(magic[:4]) == "\x28\xB5\x2F\xFD":
		return nil, errors.New("it is compressed with zstd; unpack it first: zstd -d")
	}
	return b, nil
}

// expand makes one entry of an archive.
func expand(root *os.Root, h *tar.Header, content io.Reader) error {
	name := strings.TrimPrefix(h.Name, "./")
	if name = strings.TrimSuffix(name, "/"); name == "" || name == "." {
		return nil
	}
	if !filepath.IsLocal(name) || filepath.Clean(name) != name {
		return fmt.Errorf("the archive wants to write to %q", h.Name)
	}
	if dir := filepath.Dir(name); dir != "." && h.Typeflag != tar.TypeXGlobalHeader {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(h.Mode)&0o777|0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		return errors.Join(err, f.Close())
	case tar.TypeSymlink:
		if err := staysInside(name, h.Linkname); err != nil {
			return err
		}
		return root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		if !filepath.IsLocal(h.Linkname) {
			return fmt.Errorf("the link %s leads outside (%s)", name, h.Linkname)
		}
		return root.Link(h.Linkname, name)
	case tar.TypeXGlobalHeader:
		return nil
	}
	return fmt.Errorf("%q is a device or something else that Wine does not have", h.Name)
}

// checkLinks makes sure that every link, followed to its end through whatever
// other links there are, stays inside. Those that lead nowhere are fine.
func checkLinks(root *os.Root) error {
	return fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() != fs.ModeSymlink {
			return err
		}
		if _, err := root.Stat(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the link %s: %w", p, err)
		}
		return nil
	})
}
