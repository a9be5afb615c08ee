package vmimage_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/guest/vm/machine"
	"muster/internal/guest/vm/vmimage"
	"muster/internal/guest/vm/vmtest"
	"muster/internal/guest/vm/wire"
	"muster/internal/proc"
)

// patience is how long a guest may take on a loaded machine, emulated.
const patience = 3 * time.Minute

// TestBoot boots the image and has a program read the payload, write to the root and say what it sees: an image
// is right when a guest runs from it.
func TestBoot(t *testing.T) {
	if testing.Short() {
		t.Skip("building an image and booting it takes many seconds")
	}
	table := newTable(t)
	dir, key := vmtest.Image(t, table)
	img, err := vmimage.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	host := t.TempDir()
	if err := os.WriteFile(filepath.Join(host, "input"), []byte("from the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	payload, scratch := filepath.Join(t.TempDir(), "payload"), filepath.Join(t.TempDir(), "scratch")
	if err := vmimage.WritePayload(t.Context(), payload, []vmimage.Source{{At: "in", Host: host}}); err != nil {
		t.Fatal(err)
	}
	if err := img.NewScratch(scratch); err != nil {
		t.Fatal(err)
	}
	h := boot(t, table, machine.Config{
		Board: machine.Board(img.Machine), Accel: machine.TCG, Memory: 256 << 20, TSC: machine.HostTSC(),
		Kernel: img.Path(img.Kernel), Initrd: img.Path(img.Initrd), Cmdline: img.Cmdline, ImageKey: key,
		Disks: []machine.Disk{
			{Name: "root", Path: img.Path(img.Root.File), Format: img.Root.Format, ReadOnly: img.Root.ReadOnly},
			{Name: "scratch", Path: scratch, Format: img.Scratch.Format, Scratch: true},
			{Name: "payload", Path: payload, Format: "raw", ReadOnly: true},
		},
	})
	t.Logf("the guest was up %s after its kernel began", time.Duration(h.Hello().UpTime))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := h.Settle(ctx, wire.Settings{Mounts: []wire.Mount{{Device: "payload", Type: vmimage.PayloadFS, At: "/muster"}}}); err != nil {
		t.Fatal(err)
	}
	const script = `cat /muster/in/input && echo written >/usr/new && cat /usr/new && ! touch /muster/in/new 2>/dev/null &&
		read -r space rest <<-end
			$(df -k --output=size / | tail -n 1)
		end
		[ "$space" -gt 60000000 ] && echo enough`
	if got, want := output(ctx, t, h, "/bin/bash", "-c", script), "from the host\nwritten\nenough\n"; got != want {
		t.Errorf("the program wrote %q, want %q", got, want)
	}
	if err := h.PowerOff(ctx); err != nil {
		t.Error(err)
	}
}

func newTable(t *testing.T) *proc.Table {
	t.Helper()
	table, err := proc.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table
}

// boot starts a machine and waits for its guest's first word.
func boot(t *testing.T, table *proc.Table, c machine.Config) *wire.Host {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	qemu, err := machine.Find(ctx, table, os.Getenv("PATH"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := machine.Host{Table: table, QEMU: qemu}.Boot(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the console's last lines:\n%s", m.Console(40))
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	h, err := wire.Dial(ctx, m.Stream())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// output runs a program in the guest and returns what it wrote.
func output(ctx context.Context, t *testing.T, h *wire.Host, path string, args ...string) string {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p, err := h.Start(ctx, wire.Command{Path: path, Args: args, Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/"}, wire.Streams{Out: out, Err: out}, nil)
	if err != nil {
		t.Fatal(err)
	}
	exit, err := p.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(&text, out); err != nil {
		t.Fatal(err)
	}
	if exit.Code != 0 || exit.Signal != 0 {
		t.Errorf("%s ended with %d:%d: %s", path, exit.Code, exit.Signal, text.String())
	}
	return text.String()
}
