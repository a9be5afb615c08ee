package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"
)

// A row of a table of figures.
type row struct {
	what, muster, compared, ratio, wanted string
}

// section is a heading, the machine, and a table.
func section(title, facts string, rows []row) string {
	var s strings.Builder
	s.WriteString(heading2(title, facts))
	s.WriteString("| what | muster | compared with | ratio | wanted |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		fmt.Fprintf(&s, "| %s | %s | %s | %s | %s |\n", r.what, r.muster, r.compared, r.ratio, r.wanted)
	}
	return s.String()
}

// heading2 begins a section.
func heading2(title, facts string) string { return fmt.Sprintf("## %s\n\n%s\n\n", title, facts) }

// heading begins the document when there is none.
const heading = `# How fast muster is

Figures of ` + "`make bench`" + `: each row was measured in one run on one machine, in turns with
what it is compared with. The sections between the marks are replaced by every run.
`

// writeSection replaces the named section of the document, or appends it.
func writeSection(doc, name, text string) error {
	old, err := os.ReadFile(doc)
	if errors.Is(err, fs.ErrNotExist) {
		old, err = []byte(heading), nil
	}
	if err != nil {
		return err
	}
	replaced, err := replaceSection(string(old), name, text)
	if err != nil {
		return fmt.Errorf("%s: %w", doc, err)
	}
	temporary := doc + ".new"
	if err := os.WriteFile(temporary, []byte(replaced), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, doc)
}

func replaceSection(doc, name, text string) (string, error) {
	begin, end := "<!-- bench:"+name+" -->\n", "<!-- end of bench:"+name+" -->\n"
	marked := begin + strings.TrimRight(text, "\n") + "\n" + end
	before, rest, found := strings.Cut(doc, begin)
	if !found {
		return strings.TrimRight(doc, "\n") + "\n\n" + marked, nil
	}
	_, after, found := strings.Cut(rest, end)
	if !found {
		return "", fmt.Errorf("the mark %q has no end", strings.TrimSpace(begin))
	}
	return before + marked + after, nil
}

// facts says what was measured, where and when.
func facts(ctx context.Context, b *bench) string {
	version := func(argv ...string) string {
		_, text, err := b.timed(ctx, argv...)
		if err != nil {
			return argv[0] + ": version not known"
		}
		first, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
		return first
	}
	field := func(file, key, separator string) string {
		text, _ := os.ReadFile(file)
		for line := range strings.Lines(string(text)) {
			if k, v, ok := strings.Cut(line, separator); ok && strings.TrimSpace(k) == key {
				return strings.Trim(strings.TrimSpace(v), `"`)
			}
		}
		return "not known"
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	number, _, _ := strings.Cut(strings.TrimSpace(string(kernel)), "-")
	memory := strings.Fields(field("/proc/meminfo", "MemTotal", ":"))[0]
	var kib int64
	_, _ = fmt.Sscan(memory, &kib) // stays 0 when not known
	return fmt.Sprintf("%s · %s · %d CPUs (%s), %d GiB · %s, kernel %s · %s · %s · %d lanes",
		time.Now().Format(time.DateOnly), version(b.muster, "--version"),
		runtime.NumCPU(), field("/proc/cpuinfo", "model name", ":"), (kib+1<<19)>>20,
		field("/etc/os-release", "PRETTY_NAME", "="), number, runtime.Version(), version("wine", "--version"), b.lanes)
}

func perSec(rate float64) string {
	if rate < 20 {
		return fmt.Sprintf("%.2f/s", rate)
	}
	return thousands(int(rate+0.5)) + "/s"
}

func ratio(r float64) string         { return fmt.Sprintf("%.3g", r) }
func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
func mega(bytes int64) string {
	if bytes == 0 {
		return "not seen"
	}
	return fmt.Sprintf("%.0f MB", float64(bytes)/1e6)
}

// thousands writes a count with separators: 10,000.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return thousands(n/1000) + fmt.Sprintf(",%03d", n%1000)
}
