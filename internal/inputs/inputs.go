// Package inputs makes tasks of what the user calls the input: a folder, or a
// list. It reads folders and lists, writes nothing, and finds everything that is
// wrong with inputs and outputs before anything is submitted.
//
// In a folder, every regular file, or link to one, is an input; names that begin
// with a dot are left out, as is everything that is no file. Lists: see readList.
package inputs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"muster/internal/job"
)

// Options is what the user said. Names of files and folders may be relative to Dir.
type Options struct {
	Dir string // the submission folder, absolute

	// Exactly one of the three.
	Input     string // --input: a folder, or a list of lines
	Input0    string // --input0: a list whose entries end with NUL
	InputJSON string // --input-json: a list of JSON lines

	// Output is --output: a folder, which need not be there yet. "" is for programs
	// that write no output: tasks then have none, and nothing of theirs is checked.
	Output string

	ExtSearch string // --ext-search: only inputs with this extension; "" for all
	Subdir    bool   // --subdir: recurse, and mirror the tree below Output

	Prefix    string // --prefix
	Ext       string // --ext: "" for the default (out; with Collect none), NoExt for none
	Delimiter string // --delimeter, as it is: usually DefaultDelimiter
	Collect   bool   // --collect: the output is a folder

	Existing job.Existing // --existing; "" is refuse
}

// Result is the tasks and what was learned on the way.
type Result struct {
	Tasks   []job.Task // by index, from 1
	Input   string     // folder or list, absolute
	IsList  bool       // Input is a list, not a folder
	Output  string     // folder, absolute; "" when none was given
	Present []int      // indexes of the tasks whose outputs are there already (Existing skip or replace)
}

// Read makes the tasks. Inputs of a folder come in the order of their names,
// byte by byte; those of a list in its order. The error is one clear line and
// job.ErrBadInput, or ctx's, which ends the reading of a large tree.
func Read(ctx context.Context, o Options) (Result, error) {
	if err := o.check(); err != nil {
		return Result{}, err
	}
	rd := reader{Options: o, paths: pathMaker{dir: o.Dir, heads: map[string]string{}}}
	found, err := rd.find(ctx)
	if err != nil {
		return Result{}, err
	}
	r := Result{Input: found.path, IsList: found.isList}
	if o.Output == "" {
		r.Tasks = found.tasks()
		return r, nil
	}
	r.Output = rd.paths.abs(o.Output)
	if err := checkOutput(r); err != nil {
		return Result{}, err
	}
	if r.Tasks, err = rd.name(found, r.Output); err != nil {
		return Result{}, err
	}
	if r.Present, err = present(ctx, r, o.Existing); err != nil {
		return Result{}, err
	}
	return r, nil
}

// reader is one call of Read.
type reader struct {
	Options
	paths pathMaker
}

// found is what was found at the input, before outputs have names.
type found struct {
	path   string // of the folder or list, absolute
	isList bool
	items  []item
}

// item is one input, and so one task.
type item struct {
	in   []job.Input
	base string // base name that the output's is made of
	sub  string // folder below the output, "" for none
	out  string // the output's path when the user has named it, else ""
	line int    // in the list, from 1; 0 in a folder
}

// tasks makes a task of each item, without an output.
func (f found) tasks() []job.Task {
	tasks := make([]job.Task, len(f.items))
	for i, it := range f.items {
		tasks[i] = job.Task{Index: i + 1, In: it.in}
	}
	return tasks
}

// where names an item to a person.
func (f found) where(i int) string {
	it := f.items[i]
	if f.isList {
		return place(f.path, it.line) + " (" + show(it.in[0].Word) + ")"
	}
	return show(it.in[0].Word)
}

// find reads the folder or the list.
func (o reader) find(ctx context.Context) (found, error) {
	switch {
	case o.Input0 != "":
		return o.readList("--input0", o.paths.abs(o.Input0), splitNUL)
	case o.InputJSON != "":
		return o.readList("--input-json", o.paths.abs(o.InputJSON), splitJSON)
	}
	path := o.paths.abs(o.Input)
	info, err := os.Stat(path)
	if err != nil {
		return found{}, job.BadInputf("input %s %s", show(path), trouble(err))
	}
	if !info.IsDir() {
		return o.readList("--input", path, splitLines)
	}
	return o.scan(ctx, path)
}

// check finds what is wrong with the options by themselves.
func (o Options) check() error {
	given := 0
	for _, v := range []string{o.Input, o.Input0, o.InputJSON} {
		if v != "" {
			given++
		}
	}
	switch {
	case given == 0:
		return job.BadInputf("no input was named: say --input FOLDER or --input LIST")
	case given > 1:
		return job.BadInputf("the input was named more than once: give one of --input, --input0 and --input-json")
	}
	for _, p := range []struct{ flag, value string }{
		{"--prefix", o.Prefix}, {"--ext", o.Ext}, {"--delimeter", o.Delimiter}, {"--ext-search", o.ExtSearch},
	} {
		if strings.ContainsAny(p.value, "/\x00") {
			return job.BadInputf("%s=%q: part of a name cannot hold a slash", p.flag, p.value)
		}
	}
	return nil
}

// trouble puts a file system's error into words, to stand behind a name.
func trouble(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "is not there"
	case errors.Is(err, fs.ErrPermission):
		return "cannot be read: permission denied"
	case errors.Is(err, syscall.ENOTDIR):
		return "is not there: part of its path is no folder"
	}
	var e *fs.PathError
	if errors.As(err, &e) {
		err = e.Err
	}
	return "cannot be read: " + err.Error()
}
