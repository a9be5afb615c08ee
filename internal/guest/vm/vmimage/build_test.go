package vmimage

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"muster/internal/goldentest"
	"muster/internal/guest"
	"muster/internal/job"
)

func TestSettled(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "disk", "kernel", "root/etc/passwd")
	disk, kernel, root := dir+"/disk", dir+"/kernel", dir+"/root"
	for _, c := range []struct {
		name  string
		build Build
		want  string // part of the complaint; "" for none
	}{
		{"default", Build{}, ""},
		{"debian", Build{From: "debian", Suite: "trixie", Packages: []string{"g++", "python3.11"}, Strip: "none"}, ""},
		{"mirror", Build{Mirror: "http://mirror.example/debian"}, ""},
		{"rootfs", Build{Rootfs: root}, ""},
		{"disk", Build{Disk: disk}, ""},
		{"disk and kernel", Build{Disk: disk, Kernel: kernel, Initrd: kernel, Words: "root=/dev/vda"}, ""},

		{"both", Build{Rootfs: root, Disk: disk}, "exclude each other"},
		{"another distribution", Build{From: "fedora"}, "debian is the only one"},
		{"strip", Build{Strip: "half"}, "choose full or none"},
		{"stripped disk", Build{Disk: disk, Strip: "full"}, "does not go with --disk"},
		{"ordinary rootfs", Build{Rootfs: root, Strip: "none"}, "does not go with --rootfs"},
		{"suite of a disk", Build{Disk: disk, Suite: "bookworm"}, "not for --disk"},
		{"packages of a root", Build{Rootfs: root, Packages: []string{"gawk"}}, "not for --rootfs"},
		{"kernel alone", Build{Kernel: kernel}, "--kernel is for --disk"},
		{"initrd alone", Build{Disk: disk, Initrd: kernel}, "for --kernel"},
		{"no file", Build{Disk: dir + "/none"}, "no such file"},
		{"option as a package", Build{Packages: []string{"--purge"}}, "no name of a package"},
		{"hook as a package", Build{Packages: []string{"a;b"}}, "no name of a package"},
		{"option as a suite", Build{Suite: "--help"}, "no name of a suite"},
		{"line as a mirror", Build{Mirror: "http://a\ndeb http://b"}, "no address of a mirror"},
		{"option as a mirror", Build{Mirror: "--setup-hook=x"}, "no address of a mirror"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.build.settled()
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (!errors.Is(err, job.ErrBadInput) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestKey(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "root/etc/passwd")
	key := func(b Build, init string) string {
		b, err := b.settled()
		if err != nil {
			t.Fatal(err)
		}
		k, err := (&maker{build: b, init: []byte(init), sources: []string{"deb http://mirror bookworm main"}}).key()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	same := key(Build{}, "init")
	for name, b := range map[string]Build{
		"name": {Name: "other"}, "said": {From: "debian", Suite: DefaultSuite, Strip: "full"},
	} {
		if key(b, "init") != same {
			t.Errorf("%s: the key differs, and the image would be the same", name)
		}
	}
	seen := map[string]string{same: "default", key(Build{}, "another"): "init"}
	for name, b := range map[string]Build{
		"suite": {Suite: "trixie"}, "packages": {Packages: []string{"gawk"}}, "strip": {Strip: "none"}, "rootfs": {Rootfs: dir + "/root"},
	} {
		if k := key(b, "init"); seen[k] != "" {
			t.Errorf("%s and %s have one key", name, seen[k])
		} else {
			seen[k] = name
		}
	}
	if key(Build{Packages: []string{"a1", "b1"}}, "init") != key(Build{Packages: []string{"b1", "a1"}}, "init") {
		t.Error("the order of packages matters")
	}
}

func TestArgs(t *testing.T) {
	var out strings.Builder
	for _, c := range []struct {
		name string
		b    bootstrap
	}{
		{"stripped, as root", bootstrap{mode: modeRoot, variant: "essential", suite: "bookworm", hooks: []string{kernelHook}, target: "/image/system.tar"}},
		{"stripped, an ordinary user's, with packages and this host's sources", bootstrap{
			mode: modeFakechroot, variant: "essential", include: []string{"g++", "octave"}, suite: "bookworm", hooks: []string{kernelHook}, target: "/image/system.tar",
			sources: []string{"deb http://mirror/debian bookworm main contrib", "deb http://mirror/debian bookworm-updates main"},
		}},
		{"a kernel for the user's root", bootstrap{mode: modeNone, variant: "extract", suite: "bookworm", hooks: []string{kernelHook}, target: "/image/system.tar"}},
		{"the ordinary system", bootstrap{mode: modeUnshare, variant: "important", include: fullPackages, suite: "trixie", target: "/image/system.tar", sources: []string{"http://mirror/debian"}}},
	} {
		out.WriteString("# " + c.name + "\n" + strings.Join(c.b.args(), "\n") + "\n\n")
	}
	goldentest.Check(t, "args.golden", out.String())
}

func TestSources(t *testing.T) {
	const host = `http://mirror/debian/	bookworm	main	Debian
http://mirror/debian/	bookworm	contrib	Debian
http://mirror/debian/	bookworm	main	Debian
http://mirror/debian/	bookworm-updates	main	Debian
http://mirror/security/	bookworm-security	main	Debian
https://vendor/apt	bookworm	stable	Vendor
https://vendor/node	nodistro	main	Node
not a line
`
	for _, c := range []struct{ name, host, suite, want string }{
		{"the host's suite", host, "bookworm", `deb http://mirror/debian/ bookworm main contrib
deb http://mirror/debian/ bookworm-updates main
deb http://mirror/security/ bookworm-security main`},
		{"another suite", host, "trixie", "deb http://mirror/debian/ trixie main"},
		{"another distribution", "http://archive/ubuntu/\tnoble\tmain\tUbuntu\n", "bookworm", ""},
		{"never updated", "http://mirror/debian/\tbookworm\tmain\t\n", "bookworm", "deb http://mirror/debian/ bookworm main"},
		{"nothing", "", "bookworm", ""},
	} {
		if got := strings.Join(sourcesFor(c.suite, parseTargets(c.host)), "\n"); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestHasSubIDs(t *testing.T) {
	for _, c := range []struct {
		text string
		want bool
	}{
		{"", false}, {"root:100000:65536\n", false}, {"anna:100000:65536\n", true}, {"root:1:2\n1000:100000:65536\n", true},
		{"annabel:100000:65536\n", false}, {"anna", false},
	} {
		if got := hasSubIDs(c.text, "anna", "1000"); got != c.want {
			t.Errorf("%q: %v", c.text, got)
		}
	}
}

func TestTool(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mmdebstrap-of-ours"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	b := &Builder{getenv: func(string) string { return dir }}
	if got, err := b.tool("mmdebstrap-of-ours", "x"); err != nil || got != dir+"/mmdebstrap-of-ours" {
		t.Errorf("found %q, %v", got, err)
	}
	_, err := b.tool("no-such-tool", "its-package")
	if !errors.Is(err, guest.ErrLacking) || !strings.Contains(err.Error(), "no-such-tool is missing; install Debian's package its-package") {
		t.Errorf("error %v", err)
	}
}

func TestComplaint(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"I: running\nE: Unable to locate package octve\nE: setup failed: E: apt-get failed\nI: removing\nE: mmdebstrap failed to run\n",
			"Unable to locate package octve; setup failed: E: apt-get failed"},
		{"mke2fs: no space\n", "mke2fs: no space"},
		{"", ""},
		{"one\ntwo\nthree\nfour\n", "two; three; four"},
		{"E: " + strings.Repeat("x", 1000), strings.Repeat("x", 400) + "…"},
	} {
		if got := complaint(c.text); got != c.want {
			t.Errorf("%.40q: %q, want %q", c.text, got, c.want)
		}
	}
}

func TestParseMeta(t *testing.T) {
	const good = `{"version":1,"kind":"stripped","machine":"microvm","kernel":"kernel","initrd":"initrd",
		"root":{"file":"root.erofs","format":"raw","size":1},"scratch":{"file":"scratch","format":"raw","size":2,"parts":[{"at":0,"size":1}]}}`
	for _, c := range []struct{ name, old, new, want string }{
		{"good", "", "", ""},
		{"newer", `"version":1`, `"version":2`, "another version"},
		{"kind", `"stripped"`, `"raw"`, "no kind"},
		{"machine", `"microvm"`, `"vax"`, "no machine"},
		{"no kernel", `"kernel":"kernel",`, "", "no kernel"},
		{"no root", `"file":"root.erofs"`, `"file":""`, "no root disk"},
		{"format", `"format":"raw"`, `"format":"vdi"`, "no format"},
		{"outside", `"initrd":"initrd"`, `"initrd":"../initrd"`, "not below"},
		{"absolute", `"file":"root.erofs"`, `"file":"/etc/shadow"`, "not below"},
		{"part outside", `"at":0,"size":1`, `"at":2,"size":1`, "outside the disk"},
		{"part before", `"at":0,"size":1`, `"at":-1,"size":1`, "outside the disk"},
		{"parts of the root", `"size":1}`, `"size":1,"parts":[{"at":0,"size":1}]}`, "parts"},
		{"cut", `}}`, "", "JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := parseMeta([]byte(strings.Replace(good, c.old, c.new, 1)))
			switch {
			case c.want == "" && (err != nil || m.Root.File != "root.erofs"):
				t.Errorf("%+v, %v", m, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}
