package inputs

import (
	"strings"

	"muster/internal/job"
)

// DefaultDelimiter stands between an input's name and the extension.
const DefaultDelimiter = "."

// NoExt is the value of --ext that asks for no extension.
const NoExt = "noext"

// maxName is the longest base name that Linux's file systems take, in bytes.
const maxName = 255

// reserved begins the names of muster's own folders below the output.
const reserved = ".muster-"

// outName makes the base name of an output: prefix + name + delimiter + extension.
func (o reader) outName(base string) string {
	switch {
	case o.Ext == NoExt, o.Ext == "" && o.Collect:
		return o.Prefix + base
	case o.Ext == "":
		return o.Prefix + base + o.Delimiter + "out"
	}
	return o.Prefix + base + o.Delimiter + o.Ext
}

// name makes tasks whose outputs have names, and finds names that cannot be and
// names that two outputs would share.
func (o reader) name(f found, output string) ([]job.Task, error) {
	tasks := f.tasks()
	taken := make(map[string]int, len(f.items)) // output → item
	inputs := make(map[string]int, len(f.items))
	for i, it := range f.items {
		out := it.out
		if out == "" {
			out = o.outName(it.base)
			if it.sub != "" {
				out = it.sub + "/" + out
			}
		}
		if why := badName(out); why != "" {
			return nil, job.BadInputf("%s: the output would be called %s, and %s", f.where(i), show(out), why)
		}
		if first, ok := taken[out]; ok {
			return nil, f.collision(first, i, out)
		}
		taken[out] = i
		for _, in := range it.in {
			if in.File {
				inputs[in.Word] = i
			}
		}
		tasks[i].Out = out
	}
	if err := f.nested(tasks, taken); err != nil {
		return nil, err
	}
	return tasks, f.overwrites(tasks, inputs, output)
}

// badName says why no output can have a path, "" when one can.
func badName(out string) string {
	if strings.HasPrefix(out, reserved) {
		return "names that begin with " + reserved + " are muster's own"
	}
	for name := range strings.SplitSeq(out, "/") {
		switch {
		case name == "" || name == "." || name == "..":
			return "that is no name for a file"
		case len(name) > maxName:
			return "a name cannot have more than 255 bytes: shorten --prefix or --ext, or name it with --input-json"
		}
	}
	return ""
}

func (f found) collision(a, b int, out string) error {
	hint := `name them with "out" in an --input-json list`
	if f.items[a].in[0].Word == f.items[b].in[0].Word && len(f.items[a].in) == 1 && len(f.items[b].in) == 1 {
		hint = "it is named twice"
	}
	return job.BadInputf("%s and %s would both write the output %s: %s", f.where(a), f.where(b), show(out), hint)
}

// nested finds an output that lies below another one, as a file cannot be a
// folder too.
func (f found) nested(tasks []job.Task, taken map[string]int) error {
	seen := map[string]bool{}
	for i, t := range tasks {
		for dir := parent(t.Out); dir != "" && !seen[dir]; dir = parent(dir) {
			seen[dir] = true
			if first, ok := taken[dir]; ok {
				return job.BadInputf("%s would write the output %s, and %s one below that name, %s",
					f.where(first), show(dir), f.where(i), show(t.Out))
			}
		}
	}
	return nil
}

// overwrites finds an output that is itself an input.
func (f found) overwrites(tasks []job.Task, inputs map[string]int, output string) error {
	if !f.isList {
		return nil // the output is not inside the input folder
	}
	for i, t := range tasks {
		if reader, ok := inputs[output+"/"+t.Out]; ok {
			return job.BadInputf("%s would write the output %s, which is an input of %s: choose another --output or --ext",
				f.where(i), show(output+"/"+t.Out), place(f.path, f.items[reader].line))
		}
	}
	return nil
}

// parent returns the folder part of a relative path, "" for none.
func parent(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return ""
}
