package wire_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"muster/internal/guest/vm/wire"
	"muster/internal/guest/vm/wire/tree"
)

// BenchmarkTrees: what the protocol itself costs; a virtio-serial port is slower.
func BenchmarkTrees(b *testing.B) {
	for _, c := range []struct {
		name  string
		files int
		size  int
	}{{"large", 1, 256 << 20}, {"small", 1000, 100}} {
		from := b.TempDir()
		for i := range c.files {
			content := make([]byte, c.size)
			for j := range content {
				content[j] = byte(j)
			}
			if err := os.WriteFile(filepath.Join(from, fmt.Sprint(i)), content, 0o600); err != nil {
				b.Fatal(err)
			}
		}
		for name, do := range map[string]func(g *guest) error{
			"put": func(g *guest) error {
				_, err := g.Put(b.Context(), filepath.Join(g.dir, "to"), from, tree.Keep)
				return err
			},
			"get": func(g *guest) error {
				_, err := g.Get(b.Context(), from, b.TempDir(), tree.Limits{})
				return err
			},
		} {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				g := newGuest(b)
				b.SetBytes(int64(c.files) * int64(c.size))
				for b.Loop() {
					if err := do(g); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkProgram: starting a program and hearing of its end.
func BenchmarkProgram(b *testing.B) {
	g := newGuest(b)
	for b.Loop() {
		p, err := g.Start(b.Context(), wire.Command{Path: "/bin/true"}, wire.Streams{}, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
