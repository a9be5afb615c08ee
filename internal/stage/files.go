package stage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"muster/internal/image"
)

// workers is how many files are copied at once. A network file system answers each
// request late and many at once; a disk of the node does not mind.
const workers = 16

// each calls f for every file of the tree, several at once.
func (t *Tree) each(ctx context.Context, f func(i int, e *image.Entry) error) error {
	var files []int
	for i := range t.Entries {
		if t.Entries[i].Mode.IsRegular() {
			files = append(files, i)
		}
	}
	return t.some(ctx, files, f)
}

// some calls f for some of the entries, several at once.
func (t *Tree) some(ctx context.Context, which []int, f func(i int, e *image.Entry) error) error {
	g, all := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, i := range which {
		if all.Err() != nil {
			break
		}
		g.Go(func() error {
			if err := all.Err(); err != nil {
				return err
			}
			return f(i, &t.Entries[i])
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// sumFile is the checksum of a file below root, and its size.
func sumFile(root *os.Root, name string) (sum string, n int64, err error) {
	f, err := root.Open(name)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), n, err
}

// writeWhole writes a file so that readers see the old content or the new one,
// never a part.
func writeWhole(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// bootID tells one boot of this machine from the next.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
