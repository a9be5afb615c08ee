package wincompat

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/internal/guest"
	"muster/internal/guest/wine/winetest"
)

var update = flag.Bool("update", false, "write the expected values anew, from plain Wine")

// nobody is the ordinary user as whom plain Wine is run when root calls.
const nobody = 65534

// plainWine is Wine as it comes: a prefix that wineboot has made, and the `wine` of the PATH.
type plainWine struct {
	t   *testing.T
	dir string
}

// newPlain makes the prefix, with a copy of the programs beside it that anybody can read.
func newPlain(t *testing.T, programs string) *plainWine {
	t.Helper()
	dir, err := os.MkdirTemp("", "plain")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := guest.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.CopyFS(filepath.Join(dir, "programs"), os.DirFS(programs)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"home", "work", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	err = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && os.Geteuid() == 0 {
			err = os.Chown(path, nobody, nobody)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &plainWine{t, dir}
	t.Cleanup(p.stop)
	p.must("wineboot", "-i")
	p.stop() // the boot that has set Windows up is not one like all the others
	return p
}

// command is a command of Wine's. The only thing that is taken from Wine is what would ask a person to
// download .NET and a browser.
func (p *plainWine) command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = filepath.Join(p.dir, "work")
	cmd.Env = append([]string{
		"HOME=" + p.dir + "/home", "TMPDIR=" + p.dir + "/tmp", "WINEPREFIX=" + p.dir + "/home/.wine",
		"WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=", "USER=nobody",
	}, env...)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return cmd
}

func (p *plainWine) must(name string, args ...string) {
	p.t.Helper()
	ctx, done := context.WithTimeout(context.Background(), 2*time.Minute)
	defer done()
	if err := p.command(ctx, sample{}.environment(), name, args...).Run(); err != nil {
		p.t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
}

// stop ends the prefix's server and everything under it.
func (p *plainWine) stop() {
	for _, arg := range []string{"-k", "-w"} {
		ctx, done := context.WithTimeout(context.Background(), time.Minute)
		// -k says 1 when there is no server, which is just as well.
		if err := p.command(ctx, sample{}.environment(), "wineserver", arg).Run(); err != nil && arg == "-w" {
			p.t.Errorf("wineserver %s: %v", arg, err)
		}
		done()
	}
}

// run runs a sample in a fresh working folder and returns its outcome.
func (p *plainWine) run(s sample) string {
	p.t.Helper()
	ctx, done := context.WithTimeout(context.Background(), time.Minute)
	defer done()
	out, err := os.CreateTemp(p.dir, "out")
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close()
	in := filepath.Join(p.dir, "in")
	if err := os.WriteFile(in, []byte(input), 0o644); err != nil {
		p.t.Fatal(err)
	}
	stdin, err := os.Open(in)
	if err != nil {
		p.t.Fatal(err)
	}
	defer stdin.Close()
	cmd := p.command(ctx, s.environment(), "wine", append([]string{filepath.Join(p.dir, "programs", s.file())}, s.args...)...)
	if cmd.Dir, err = os.MkdirTemp(filepath.Join(p.dir, "work"), s.name); err != nil {
		p.t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(cmd.Dir, nobody, nobody); err != nil {
			p.t.Fatal(err)
		}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, out, out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil || ctx.Err() != nil {
		p.t.Fatalf("%s in plain Wine: %v", s.name, err)
	}
	b, err := os.ReadFile(out.Name())
	if err != nil {
		p.t.Fatal(err)
	}
	return outcome(b, cmd.ProcessState.ExitCode())
}

// outcome is what a golden holds: the program's lines, and the code that it ended with.
func outcome(out []byte, code int) string {
	return fmt.Sprintf("%sended with %d\n", bytes.ReplaceAll(out, []byte("\r\n"), []byte("\n")), code)
}

func golden(s sample) string { return filepath.Join("testdata", s.name+".golden") }

// origin names the Wine that the goldens are of.
var origin = filepath.Join("testdata", "origin.txt")

// TestUpdate writes the goldens when it is told to, and otherwise checks that there is one for each sample.
func TestUpdate(t *testing.T) {
	if !*update {
		files, err := filepath.Glob("testdata/*.golden")
		if err != nil || len(files) != len(samples) {
			t.Errorf("%d expected values for %d samples (%v); run with -update", len(files), len(samples), err)
		}
		return
	}
	winetest.NeedWine(t)
	p := newPlain(t, winetest.Compile(t, "testdata/src", programs()))
	screen := false
	for _, s := range samples { // those that need a display come last
		t.Run(s.name, func(t *testing.T) {
			if s.screen && !screen {
				// What one would do where no screen is; the desktop takes notice when it starts.
				p.must("wine", "reg", "add", `HKCU\Software\Wine\Drivers`, "/v", "Graphics", "/d", "null", "/f")
				p.stop()
				screen = true
			}
			first, second := p.run(s), p.run(s)
			if first != second {
				t.Errorf("not the same twice in plain Wine:\n%s", differences(first, second))
			}
			if err := os.WriteFile(golden(s), []byte(first), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
	if err := os.WriteFile(origin, []byte(version(t)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// version is what the Wine of this machine calls itself.
func version(t *testing.T) string {
	t.Helper()
	loader, _ := winetest.NeedWine(t)
	out, err := exec.Command(loader, "--version").Output()
	if err != nil {
		t.Fatalf("%s --version: %v", loader, err)
	}
	return string(out)
}
