package admit

import (
	"fmt"
	"strings"

	"muster/internal/ui/human"
)

// Line says the decision in one line: the arithmetic of the tightest limit, and
// what can be done.
func (d Decision) Line() string {
	waves := Waves(d.Programs, d.AtOnce)
	if len(waves) < 2 {
		return d.arithmetic()
	}
	return fmt.Sprintf("%s; --waves starts them in %d waves", d.arithmetic(), len(waves))
}

// WavesLine is Line for somebody who has asked for waves.
func (d Decision) WavesLine() string {
	waves := Waves(d.Programs, d.AtOnce)
	if len(waves) < 2 {
		return d.arithmetic()
	}
	return fmt.Sprintf("%s; they go in %d waves of up to %s", d.arithmetic(), len(waves), human.Count(waves[0]))
}

func (d Decision) arithmetic() string {
	c, ok := d.Tightest()
	if !ok {
		return fmt.Sprintf("%s: nothing that is known limits them", human.Plural(d.Programs, "program"))
	}
	verdict := human.Count(d.AtOnce) + " fit at once"
	switch {
	case d.OK():
		verdict = "all fit at once"
	case d.AtOnce == 0:
		verdict = "not one fits"
	}
	return d.product(c) + ", and " + c.room() + ": " + verdict
}

// Hint says how the limit that decided is raised; "" when nothing can be said.
func (d Decision) Hint() string {
	c, ok := d.Tightest()
	if !ok || d.OK() || c.Bound.Raise == "" {
		return ""
	}
	return c.Bound.By + ": " + c.Bound.Raise
}

// Table has a line for each resource, for --dry-run and a run's notes: what
// all programs need of it, and what there is.
func (d Decision) Table() string {
	var b strings.Builder
	for _, c := range d.Checks {
		verdict := "fits"
		if c.Fits < d.Programs {
			verdict = human.Count(c.Fits) + " fit at once"
		}
		fmt.Fprintf(&b, "%-12s %s, and %s: %s\n", c.Resource, d.product(c), c.room(), verdict)
	}
	for _, u := range d.Unknown {
		fmt.Fprintf(&b, "not known: %s\n", u)
	}
	return b.String()
}

// Needs has a line for each resource, for --dry-run where it is not known what there is: on another machine.
func (a Ask) Needs() string {
	var b strings.Builder
	d := Decision{Programs: a.Programs, How: a.How}
	for _, r := range Resources() {
		c := Check{Resource: r, Each: r.need(a.Each), Fixed: r.need(a.Fixed)}
		if c.Each <= 0 {
			continue
		}
		fmt.Fprintf(&b, "%-12s %s", r, d.product(c))
		if c.Fixed > 0 {
			fmt.Fprintf(&b, ", and %s for servers", r.figure(c.Fixed))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// product is "16,384 programs × 1.1 MB = 18 GB".
func (d Decision) product(c Check) string {
	how := ""
	if c.Resource == Memory && d.How != "" {
		how = " (" + d.How + ")"
	}
	return fmt.Sprintf("%s × %s%s = %s", human.Plural(d.Programs, "program"), c.Resource.amount(c.Each), how, c.Resource.amount(c.Each*int64(d.Programs)))
}

// room is "3.9 GB are free (memory cgroup /user.slice: 4.3 GB, 150 MB of them in use, 260 MB kept free)".
func (c Check) room() string {
	r := c.Resource
	parts := []string{r.figure(c.Bound.Limit)}
	if c.Bound.Used > 0 {
		parts = append(parts, r.figure(c.Bound.Used)+" of them in use")
	}
	if c.Fixed > 0 {
		parts = append(parts, r.figure(c.Fixed)+" for servers")
	}
	if c.Keep > 0 {
		parts = append(parts, r.figure(c.Keep)+" kept free")
	}
	return fmt.Sprintf("%s are free (%s: %s)", r.figure(c.Free()), c.Bound.By, strings.Join(parts, ", "))
}

// figure writes a number of r; amount writes it with what it is a number of.
func (r Resource) figure(n int64) string {
	switch r {
	case Memory:
		return memory(n)
	case Disk:
		return human.Bytes(n)
	}
	return human.Count(n)
}

// memory is in binary units, as limits on memory are set in them: "4 GiB".
func memory(n int64) string {
	s := human.Memory(n)
	number := strings.TrimRight(s, "BKMGTPE")
	if unit := s[len(number):]; unit != "B" {
		return number + " " + unit + "iB"
	}
	return number + " B"
}

func (r Resource) amount(n int64) string {
	switch r {
	case Memory, Disk:
		return r.figure(n)
	case Tasks:
		if n == 1 {
			return "1 process or thread"
		}
		return human.Count(n) + " processes and threads"
	}
	unit := map[Resource]string{Descriptors: "descriptor", Files: "open file", Inodes: "inode"}[r]
	return human.Plural(int(n), unit)
}
