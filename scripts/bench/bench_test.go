package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteSection(t *testing.T) {
	doc := filepath.Join(t.TempDir(), "performance.md")
	for _, s := range []struct{ name, text string }{
		{"native", "native, first"}, {"wine", "wine"}, {"native", "native, second"},
	} {
		if err := writeSection(doc, s.name, s.text); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	want := heading + `
<!-- bench:native -->
native, second
<!-- end of bench:native -->

<!-- bench:wine -->
wine
<!-- end of bench:wine -->
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReplaceKeepsOtherText(t *testing.T) {
	doc := "before\n<!-- bench:x -->\nold\n<!-- end of bench:x -->\nafter\n"
	got, err := replaceSection(doc, "x", "new\n\n")
	if want := strings.Replace(doc, "old", "new", 1); err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := replaceSection("<!-- bench:x -->\nno end\n", "x", "new"); err == nil {
		t.Error("a mark without its end was accepted")
	}
}

func TestForms(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{thousands(7), "7"}, {thousands(1000), "1,000"}, {thousands(1234567), "1,234,567"},
		{perSec(2.345), "2.35/s"}, {perSec(2345.4), "2,345/s"},
		{ratio(0.6123), "0.612"}, {ratio(41.26), "41.3"},
		{mega(0), "not seen"}, {mega(99_400_000), "99 MB"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestLastResult(t *testing.T) {
	r, err := lastResult("{\"event\":1}\n{\"version\":1,\"run\":12,\"completed\":5}\n")
	if err != nil || r.Run != 12 || r.Completed != 5 {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := lastResult("all done\n"); err == nil {
		t.Error("text that is no JSON was accepted")
	}
}

func TestProcess(t *testing.T) {
	self := process{os.Getpid()}
	if self.peak() < 1<<20 {
		t.Errorf("this process has a peak of %d bytes", self.peak())
	}
	if home := "PATH=" + os.Getenv("PATH"); !self.hasEnv(home) || self.hasEnv(home+"x") {
		t.Errorf("hasEnv(%q) is wrong about this process", home)
	}
}
