package arrows

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"
)

// judgeStarters finds processes started outside proc.
func judgeStarters(f file) []string {
	if slices.Contains(mayStart, f.pkg) {
		return nil
	}
	var wrong []string
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		for _, p := range slices.Sorted(maps.Keys(starters)) {
			if f.imports[p] == x.Name && slices.Contains(starters[p], sel.Sel.Name) {
				wrong = append(wrong, fmt.Sprintf("%s uses %s.%s: proc is the only place that starts processes", f.name, p, sel.Sel.Name))
			}
		}
		return true
	})
	return wrong
}

// judgeShape: no init, no file that is really two.
func judgeShape(f file) []string {
	var wrong []string
	if f.lines > maxLines {
		wrong = append(wrong, fmt.Sprintf("%s has %d lines: past %d a file is really two", f.name, f.lines, maxLines))
	}
	for _, d := range f.syntax.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			wrong = append(wrong, f.name+" has func init: nothing happens by itself; call it where it is needed")
		}
	}
	return wrong
}

// judgeState finds package-level variables that can change: without a first
// value, made empty to be filled, or written somewhere in the package.
// Constants in all but name (errors, tables, compiled patterns, embedded files)
// pass.
func judgeState(files []file) []string {
	vars := map[string]string{} // name → what is wrong with it, "" so far nothing
	for _, f := range files {
		if !f.test {
			maps.Copy(vars, packageVars(f))
		}
	}
	for _, f := range files {
		if f.test {
			continue // a test that swaps a variable needs one that can change, found by its declaration
		}
		for name, how := range writes(f.syntax) {
			if _, ok := vars[name]; ok && vars[name] == "" {
				vars[name] = how + " in " + f.name
			}
		}
	}
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if vars[name] != "" && written[files[0].pkg+"."+name] == "" {
			wrong = append(wrong, fmt.Sprintf("%s: package-level var %s is mutable state (%s): pass it instead", files[0].pkg, name, vars[name]))
		}
	}
	return wrong
}

// packageVars returns a file's package-level variables.
func packageVars(f file) map[string]string {
	vars := map[string]string{}
	for _, d := range f.syntax.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.VAR {
			continue
		}
		for _, s := range decl.Specs {
			spec := s.(*ast.ValueSpec)
			embedded := isEmbedded(decl.Doc) || isEmbedded(spec.Doc)
			for i, name := range spec.Names {
				switch {
				case name.Name == "_":
				case embedded:
					vars[name.Name] = ""
				case len(spec.Values) == 0:
					vars[name.Name] = "no first value in " + f.name
				case i < len(spec.Values) && isMade(spec.Values[i]):
					vars[name.Name] = "made to be filled in " + f.name
				default:
					vars[name.Name] = ""
				}
			}
		}
	}
	return vars
}

func isEmbedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// isMade reports make(…) and new(…).
func isMade(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	fn, ok := call.Fun.(*ast.Ident)
	return ok && (fn.Name == "make" || fn.Name == "new")
}

// writes returns the names, declared outside any function of this file or in
// another file, that the file writes to, with how it does.
func writes(syntax *ast.File) map[string]string {
	found := map[string]string{}
	note := func(e ast.Expr, how string) {
		if id := root(e); id != nil && !isLocal(syntax, id) {
			found[id.Name] = how
		}
	}
	ast.Inspect(syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					note(e, "assigned")
				}
			}
		case *ast.IncDecStmt:
			note(n.X, "assigned")
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				note(n.X, "its address is taken")
			}
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				for _, e := range []ast.Expr{n.Key, n.Value} {
					if e != nil {
						note(e, "assigned")
					}
				}
			}
		}
		return true
	})
	return found
}

// root is the variable at the left end of x.y[z], or nil.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// isLocal reports whether id was resolved to something declared inside a function.
func isLocal(syntax *ast.File, id *ast.Ident) bool {
	return id.Obj != nil && syntax.Scope.Lookup(id.Name) != id.Obj
}
