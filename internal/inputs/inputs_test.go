package inputs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muster/internal/job"
)

// tree makes files below a new folder: "a/b" a file, "a/" a folder, "l -> t" a
// link to t. A file's content may follow "=".
func tree(t *testing.T, entries ...string) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		link, target, isLink := strings.Cut(e, " -> ")
		name, content, _ := strings.Cut(e, "=")
		switch {
		case isLink:
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, link)), 0o755))
			must(t, os.Symlink(target, filepath.Join(root, link)))
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(filepath.Join(root, name), 0o755))
		default:
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
			must(t, os.WriteFile(filepath.Join(root, name), []byte(content), 0o644))
		}
	}
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// options for a tree with the folder "in" and the output "out".
func options(root string) Options {
	return Options{Dir: root, Input: "in", Output: "out", Delimiter: DefaultDelimiter}
}

// text writes tasks as lines "words > out", without the tree's own path; files
// are marked with @.
func text(root string, tasks []job.Task) string {
	var b strings.Builder
	for i, t := range tasks {
		if t.Index != i+1 {
			fmt.Fprintf(&b, "index %d: ", t.Index)
		}
		for _, in := range t.In {
			if in.File {
				b.WriteString("@")
			}
			fmt.Fprintf(&b, "%s ", strings.TrimPrefix(in.Word, root+"/"))
		}
		fmt.Fprintf(&b, "> %s\n", t.Out)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestRead(t *testing.T) {
	with := func(f func(*Options)) func(*Options) { return f }
	tests := []struct {
		name string
		tree []string
		opts func(*Options)
		want string
	}{
		{"flat, sorted by bytes", []string{"in/b", "in/a", "in/B", "in/ü", "in/10", "in/9"}, nil,
			"@in/10 > 10.out\n@in/9 > 9.out\n@in/B > B.out\n@in/a > a.out\n@in/b > b.out\n@in/ü > ü.out"},
		{"dots, folders and devices are left out", []string{"in/a", "in/.hidden", "in/sub/b", "in/null -> /dev/null"}, nil,
			"@in/a > a.out"},
		{"links to files", []string{"in/a -> ../data", "data"}, nil, "@in/a > a.out"},
		{"awkward names work", []string{"in/-rf", "in/a b", "in/it's", "in/new\nline", `in/q"`, "in/\xff"}, nil,
			"@in/-rf > -rf.out\n@in/a b > a b.out\n@in/it's > it's.out\n@in/new\nline > new\nline.out\n@in/q\" > q\".out\n@in/\xff > \xff.out"},
		{"prefix, delimiter, extension", []string{"in/a.txt"},
			with(func(o *Options) { o.Prefix, o.Delimiter, o.Ext = "run-", "_", "res" }), "@in/a.txt > run-a.txt_res"},
		{"no delimiter", []string{"in/a"}, with(func(o *Options) { o.Delimiter = "" }), "@in/a > aout"},
		{"no extension", []string{"in/a.txt"}, with(func(o *Options) { o.Ext = NoExt }), "@in/a.txt > a.txt"},
		{"collect has no extension", []string{"in/a.txt"}, with(func(o *Options) { o.Collect = true }), "@in/a.txt > a.txt"},
		{"collect with an extension", []string{"in/a"}, with(func(o *Options) { o.Collect, o.Ext = true, "d" }), "@in/a > a.d"},
		{"extension wanted", []string{"in/a.in", "in/b.txt", "in/in", "in/c.in"}, with(func(o *Options) { o.ExtSearch = "in" }),
			"@in/a.in > a.in.out\n@in/c.in > c.in.out"},
		{"extension with a dot", []string{"in/a.tar.gz", "in/b.gz"}, with(func(o *Options) { o.ExtSearch = ".tar.gz" }),
			"@in/a.tar.gz > a.tar.gz.out"},
		{"tree, mirrored, sorted as a whole", []string{"in/z", "in/a/x", "in/a/b/y", "in/a.b", "in/.git/config", "in/empty/"},
			with(func(o *Options) { o.Subdir, o.Prefix = true, "p" }),
			"@in/a.b > pa.b.out\n@in/a/b/y > a/b/py.out\n@in/a/x > a/px.out\n@in/z > pz.out"},
		{"loops of links end", []string{"in/a/x", "in/a/up -> ..", "in/a/self -> .", "in/b -> a"},
			with(func(o *Options) { o.Subdir = true }), "@in/a/x > a/x.out"},
		{"a linked folder is read once", []string{"in/l1 -> ../data", "in/l2 -> ../data", "data/x"},
			with(func(o *Options) { o.Subdir = true }), "@in/l1/x > l1/x.out"},
		{"the folder itself is a link", []string{"in -> data", "data/x"}, nil, "@in/x > x.out"},
		{"one list file", []string{"list=a b.in\n\n  # a comment\n'c d' \"e\\\"f\"\\ g\r\n'#h'\n", "b.in"},
			with(func(o *Options) { o.Input = "list" }), "a @b.in > b.in.out\nc d e\"f g > c d.out\n#h > #h.out"},
		{"list of files, relative to the submission folder", []string{"l/list=in/a\nsub/../in/b\n", "in/a", "in/b", "sub/"},
			with(func(o *Options) { o.Input = "l/list" }), "@in/a > a.out\n@in/b > b.out"},
		{"list of numbers and URLs", []string{"list=0.5 10\n0.7 20\nhttp://x/y\n-s a/b\n"},
			with(func(o *Options) { o.Input = "list" }), "0.5 10 > 0.5.out\n0.7 20 > 0.7.out\nhttp://x/y > y.out\n-s a/b > -s.out"},
		{"list with a byte order mark", []string{"list=\ufeffa\n"}, with(func(o *Options) { o.Input = "list" }), "a > a.out"},
		{"NUL list", []string{"list=a b\x00in/c\nd\x00\x00'q\x00", "in/c\nd"},
			with(func(o *Options) { o.Input, o.Input0 = "", "list" }), "a b > a b.out\n@in/c\nd > c\nd.out\n'q > 'q.out"},
		{"JSON lines", []string{`list={"in":["a","in/b"],"out":"sub/x"}` + "\n\n" + `{"in":["c d"]}`, "in/b"},
			with(func(o *Options) { o.Input, o.InputJSON = "", "list" }), "a @in/b > sub/x\nc d > c d.out"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := tree(t, tt.tree...)
			o := options(root)
			if tt.opts != nil {
				tt.opts(&o)
			}
			r, err := Read(t.Context(), o)
			must(t, err)
			if got := text(root, r.Tasks); got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
			if r.Output != root+"/out" {
				t.Errorf("Output = %s", r.Output)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	list := func(o *Options) { o.Input = "list" }
	jsonList := func(o *Options) { o.Input, o.InputJSON = "", "list" }
	long := strings.Repeat("n", 252)
	tests := []struct {
		name string
		tree []string
		opts func(*Options)
		want string // ROOT stands for the tree's path
	}{
		{"no input named", nil, func(o *Options) { o.Input = "" }, "no input was named: say --input FOLDER or --input LIST"},
		{"two inputs", nil, func(o *Options) { o.Input0 = "x" }, "the input was named more than once: give one of --input, --input0 and --input-json"},
		{"slash in a prefix", []string{"in/a"}, func(o *Options) { o.Prefix = "a/b" }, `--prefix="a/b": part of a name cannot hold a slash`},
		{"missing", nil, nil, "input ROOT/in is not there"},
		{"empty", []string{"in/"}, nil, "input folder ROOT/in is empty"},
		{"only hidden", []string{"in/.a"}, nil, "input folder ROOT/in holds only names that begin with a dot, and these are left out"},
		{"only folders", []string{"in/a/b"}, nil, "input folder ROOT/in holds no file of its own, only folders (1): --subdir goes into them"},
		{"only devices", []string{"in/a -> /dev/null"}, nil, "input folder ROOT/in holds no regular file"},
		{"no such extension", []string{"in/a.txt", "in/b"}, func(o *Options) { o.ExtSearch = ".in" },
			"input folder ROOT/in holds no file that ends in .in (others: 2)"},
		{"broken link", []string{"in/a -> gone"}, nil, "input ROOT/in/a is a link whose target is not there"},
		{"output is the input", []string{"in/a"}, func(o *Options) { o.Output = "in/" }, "output folder ROOT/in is the input folder itself: choose one beside it"},
		{"output inside", []string{"in/a"}, func(o *Options) { o.Output = "in/x/y" }, "output folder ROOT/in/x/y lies inside the input folder ROOT/in: choose one beside it"},
		{"output inside by a link", []string{"in/a", "out -> in/sub", "in/sub/"}, nil, "output folder ROOT/out lies inside the input folder ROOT/in: choose one beside it"},
		{"output inside by dots", []string{"in/a", "x/"}, func(o *Options) { o.Output = "x/../in/o" }, "output folder ROOT/in/o lies inside the input folder ROOT/in: choose one beside it"},
		{"output is a file", []string{"in/a", "out"}, nil, "output ROOT/out is not a folder"},
		{"output below a file", []string{"in/a", "f"}, func(o *Options) { o.Output = "f/out" }, "output folder ROOT/f/out cannot be made: ROOT/f is not a folder"},
		{"output is a link to nothing", []string{"in/a", "out -> gone"}, nil, "output folder ROOT/out cannot be made: ROOT/out is a link to nothing"},
		{"a folder of the output is a file", []string{"in/s/a", "out/s"}, func(o *Options) { o.Subdir = true },
			"output folder ROOT/out/s cannot be made: it is there, and is not a folder"},
		{"one output there", []string{"in/a", "in/b", "out/b.out"}, nil,
			"1 output is already in ROOT/out (b.out): say --existing skip or --existing replace"},
		{"many outputs there", []string{"in/a", "in/b", "in/c", "in/d e", "out/a.out", "out/b.out", "out/c.out", "out/d e.out"}, nil,
			"4 outputs are already in ROOT/out (a.out, b.out, c.out, …): say --existing skip or --existing replace"},
		{"name too long", []string{"in/" + long}, nil,
			"ROOT/in/NNN: the output would be called NNN.out, and a name cannot have more than 255 bytes: shorten --prefix or --ext, or name it with --input-json"},
		{"reserved", []string{"in/a"}, func(o *Options) { o.Prefix = ".muster-" },
			"ROOT/in/a: the output would be called .muster-a.out, and names that begin with .muster- are muster's own"},
		{"a name that is none", []string{"list=/\n"}, list,
			"ROOT/list:1 (/): the output would be called /.out, and that is no name for a file"},
		{"file and folder of one name", []string{"in/a", "in/a.out/b"}, func(o *Options) { o.Subdir = true },
			"ROOT/in/a would write the output a.out, and ROOT/in/a.out/b one below that name, a.out/b.out"},
		{"collision", []string{"list=x/a\n\ny/a\n", "x/a", "y/a"}, list,
			`ROOT/list:1 (ROOT/x/a) and ROOT/list:3 (ROOT/y/a) would both write the output a.out: name them with "out" in an --input-json list`},
		{"named twice", []string{"list=a\na\n"}, list,
			"ROOT/list:1 (a) and ROOT/list:2 (a) would both write the output a.out: it is named twice"},
		{"output is an input", []string{"list=x/a\nx/a.out\n", "x/a", "x/a.out"}, func(o *Options) { o.Input, o.Output = "list", "x" },
			"ROOT/list:1 (ROOT/x/a) would write the output ROOT/x/a.out, which is an input of ROOT/list:2: choose another --output or --ext"},
		{"missing in a list", []string{"list=in/a\nin/b\n", "in/a"}, list, "ROOT/list:2: input in/b is not there"},
		{"missing by its extension", []string{"list=c.in\na.in\n", "a.in"}, list, "ROOT/list:1: input c.in is not there"},
		{"open quote", []string{"list=a\n'b\n"}, list, "ROOT/list:2: a ' is not closed"},
		{"open double quote", []string{"list=\"b\n"}, list, `ROOT/list:1: a " is not closed`},
		{"empty first word", []string{"list='' a\n"}, list, "ROOT/list:1: the first word is empty, and must name an input"},
		{"NUL in lines", []string{"list=a\x00b\x00"}, list, "list ROOT/list holds NUL bytes: --input0 takes such lists"},
		{"empty list", []string{"list=# nothing\n\n"}, list, "list ROOT/list holds no input"},
		{"list is missing", nil, func(o *Options) { o.Input, o.Input0 = "", "list" }, "list ROOT/list is not there"},
		{"list is a folder", []string{"list/"}, func(o *Options) { o.Input, o.Input0 = "", "list" }, "--input0 takes a list, and ROOT/list is a folder: --input takes folders"},
		{"lines as a NUL list", []string{"list=a\nb\n"}, func(o *Options) { o.Input, o.Input0 = "", "list" }, "list ROOT/list holds lines, and no NUL byte: --input takes such lists"},
		{"subdir of a list", []string{"list=a"}, func(o *Options) { o.Input, o.Subdir = "list", true }, "--subdir goes with an input folder, and ROOT/list is a list"},
		{"extension of a list", []string{"list=a"}, func(o *Options) { o.Input, o.ExtSearch = "list", "x" }, "--ext-search goes with an input folder, and ROOT/list is a list"},
		{"JSON: no object", []string{"list=\n[1]"}, jsonList, `ROOT/list:2: not an object like {"in":["input"],"out":"name"}`},
		{"JSON: in is a string", []string{`list={"in":"a"}`}, jsonList, `ROOT/list:1: not an object like {"in":["input"],"out":"name"}`},
		{"JSON: out is a number", []string{`list={"in":["a"],"out":1}`}, jsonList, `ROOT/list:1: "out" must be one string`},
		{"JSON: unknown field", []string{`list={"inn":["a"]}`}, jsonList, `ROOT/list:1: not right as JSON: unknown field "inn"`},
		{"JSON: cut off", []string{`list={"in":["a"`}, jsonList, "ROOT/list:1: the JSON object does not end on its line"},
		{"JSON: two on a line", []string{`list={"in":["a"]}{"in":["b"]}`}, jsonList, "ROOT/list:1: a line holds one object, and this one goes on behind it"},
		{"JSON: no in", []string{`list={"out":"a"}`}, jsonList, `ROOT/list:1: "in" is missing: write {"in":["input"],"out":"name"}`},
		{"JSON: empty word", []string{`list={"in":[""]}`}, jsonList, "ROOT/list:1: the first word is empty, and must name an input"},
		{"JSON: NUL", []string{`list={"in":["a\u0000"]}`}, jsonList, "ROOT/list:1: a word holds a NUL character, and no argument can"},
		{"JSON: not UTF-8", []string{"list={\"in\":[\"\xff\"]}"}, jsonList, "ROOT/list:1: not UTF-8, as JSON must be: --input0 takes any name"},
		{"JSON: out climbs", []string{`list={"in":["a"],"out":"../a"}`}, jsonList, `ROOT/list:1: "out" is ../a, and must be a name below the output folder`},
		{"JSON: out is absolute", []string{`list={"in":["a"],"out":"/a"}`}, jsonList, `ROOT/list:1: "out" is /a, and must be a name below the output folder`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := tree(t, tt.tree...)
			o := options(root)
			if tt.opts != nil {
				tt.opts(&o)
			}
			before := names(t, root)
			_, err := Read(t.Context(), o)
			if err == nil {
				t.Fatal("no error")
			}
			if !errors.Is(err, job.ErrBadInput) {
				t.Errorf("not ErrBadInput: %v", err)
			}
			got := strings.ReplaceAll(err.Error(), show(root+"/in/"+long), "ROOT/in/NNN")
			got = strings.ReplaceAll(got, show(long+".out"), "NNN.out")
			got = strings.ReplaceAll(got, root, "ROOT")
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if after := names(t, root); !slices.Equal(before, after) {
				t.Errorf("left something: %q became %q", before, after)
			}
		})
	}
}

// names lists everything below a folder.
func names(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(root, func(p string, _ os.DirEntry, err error) error {
		all = append(all, p)
		return err
	}))
	return all
}

func TestReadFindsOutputsThatAreThere(t *testing.T) {
	for _, e := range []job.Existing{job.ExistingSkip, job.ExistingReplace} {
		root := tree(t, "in/a", "in/b", "in/s/c", "in/s/d", "out/b.out", "out/s/d.out/x", "out/other")
		o := options(root)
		o.Subdir, o.Existing = true, e
		r, err := Read(t.Context(), o)
		must(t, err)
		if want := []int{2, 4}; !slices.Equal(r.Present, want) {
			t.Errorf("%s: Present = %v, want %v", e, r.Present, want)
		}
	}
}

func TestReadWithoutOutputs(t *testing.T) {
	root := tree(t, "list=x/a\ny/a\n", "x/a", "y/a")
	o := options(root)
	o.Input, o.Output = "list", ""
	r, err := Read(t.Context(), o)
	must(t, err)
	if got, want := text(root, r.Tasks), "@x/a > \n@y/a > "; got != want || r.Output != "" {
		t.Errorf("%s, output %q", got, r.Output)
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	root := tree(t, "in/a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, options(root)); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}

func TestReadBehindLinks(t *testing.T) {
	// From the linked folder, ".." leads to where the folder truly lies.
	root := tree(t, "true/here/", "true/in/a", "other/", "other/here -> ../true/here")
	o := options(root + "/other/here")
	o.Input, o.Output = "../in", "../out"
	r, err := Read(t.Context(), o)
	must(t, err)
	if r.Input != root+"/true/in" || r.Output != root+"/true/out" {
		t.Errorf("Input %s, Output %s", r.Input, r.Output)
	}
}
