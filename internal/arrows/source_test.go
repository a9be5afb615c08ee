package arrows

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// module is the name before every import path of this module.
const module = "muster/"

// A file is one parsed Go file.
type file struct {
	name    string // path below the module's root
	pkg     string // import path without the module's name
	test    bool   // _test.go
	lines   int
	imports map[string]string // import path, without the module's name → its name in the file
	syntax  *ast.File
}

// readModule parses every Go file of the module, whatever its build tags.
func readModule(t *testing.T) []file {
	t.Helper()
	root := moduleRoot(t)
	var files []file
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			if name != root && (base == "testdata" || base == "build" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") {
			return nil
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f, err := parse(fset, filepath.ToSlash(rel), source)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// parse reads one file; name is its path below the module's root.
func parse(fset *token.FileSet, name string, source []byte) (file, error) {
	syntax, err := parser.ParseFile(fset, name, source, parser.ParseComments)
	if err != nil {
		return file{}, err
	}
	f := file{
		name:    name,
		pkg:     path.Dir(name),
		test:    strings.HasSuffix(name, "_test.go"),
		lines:   bytes.Count(source, []byte("\n")),
		imports: map[string]string{},
		syntax:  syntax,
	}
	for _, spec := range syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, err
		}
		local := path.Base(p)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		f.imports[strings.TrimPrefix(p, module)] = local
	}
	return f, nil
}

// moduleRoot is the folder of go.mod.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above this folder")
		}
		dir = parent
	}
}

// match reports whether an import path matches a pattern (see ban).
func match(pattern, p string) bool {
	if pattern == "..." {
		return true
	}
	if above, ok := strings.CutSuffix(pattern, "/..."); ok {
		return p == above || strings.HasPrefix(p, above+"/")
	}
	ok, _ := path.Match(pattern, p) // patterns are constants, tested below
	return ok
}

// ours reports whether an import path, without the module's name, is of this module.
func ours(p string) bool {
	return strings.HasPrefix(p, "internal/") || strings.HasPrefix(p, "cmd/") || strings.HasPrefix(p, "scripts/")
}
