package winpe

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Where is where a DLL was found.
type Where string

const (
	Beside  Where = "beside"  // in the program's own folders
	Builtin Where = "builtin" // in Wine
	Missing Where = "missing" // nowhere
	Broken  Where = "broken"  // beside the program, but it cannot be loaded there
)

// Library is a DLL that a program needs.
type Library struct {
	Name    string // as first asked for: "KERNEL32.dll"
	Where   Where
	Path    string   // Beside, Broken: its file; Builtin: the DLL that stands for it, when it is another (API sets)
	By      []string // base names of the program and the libraries that need it
	Why     string   // Broken: what is wrong with it; loaded by name: by what
	Delayed bool     // wanted only when first used: the program starts without it
}

// Finder looks for DLLs. Names are compared without regard to case.
type Finder struct {
	// Beside gives the file of a DLL in the program's folders.
	Beside func(dll string) (path string, ok bool)
	// Builtin reports whether Wine has a DLL, and the name of the DLL that stands for
	// it when that is another one (an API set).
	Builtin func(dll string) (host string, ok bool)
	// Read reads a DLL beside the program; nil: Read.
	Read func(path string) (Info, error)
}

// Resolution is what became of a program's imports.
type Resolution struct {
	Libraries []Library // in the order in which they are come across
	Beside    []Info    // the libraries among them that stand beside the program
}

// maxLibraries bounds how many DLLs beside a program are followed.
const maxLibraries = 2000

// Resolve follows a program's imports, through the DLLs beside it and theirs, and says
// for each DLL where it was found. What stands beside the program goes before what Wine has,
// as Wine's loader does it, but for the three that no program can replace. Wine's
// own DLLs are taken to be complete.
func Resolve(program Info, f Finder) Resolution {
	if f.Read == nil {
		f.Read = Read
	}
	r := resolver{program: program, f: f, index: map[string]int{}}
	r.follow(program, filepath.Base(program.Path))
	for len(r.queue) > 0 && len(r.Beside) < maxLibraries {
		lib := r.queue[0]
		r.queue = r.queue[1:]
		r.Beside = append(r.Beside, lib)
		r.follow(lib, filepath.Base(lib.Path))
	}
	return r.Resolution
}

type resolver struct {
	Resolution
	program Info
	f       Finder
	index   map[string]int // by normal name: place in Libraries
	queue   []Info         // libraries beside the program that are to be followed
}

// follow takes up everything that a file needs.
func (r *resolver) follow(i Info, by string) {
	for _, imp := range i.Imports {
		r.need(Library{Name: imp.DLL}, by)
	}
	for _, l := range i.Loads {
		r.need(Library{Name: l.DLL, Why: l.Why}, by)
	}
	for _, imp := range i.Delayed {
		r.need(Library{Name: imp.DLL, Delayed: true}, by)
	}
}

// need takes up one DLL that the file called by needs.
func (r *resolver) need(lib Library, by string) {
	key := normal(lib.Name)
	if n, ok := r.index[key]; ok {
		known := &r.Libraries[n]
		known.Delayed = known.Delayed && lib.Delayed
		if len(known.By) < 10 && known.By[len(known.By)-1] != by {
			known.By = append(known.By, by)
		}
		return
	}
	lib.By = []string{by}
	r.find(&lib, key)
	r.index[key] = len(r.Libraries)
	r.Libraries = append(r.Libraries, lib)
}

// find looks for a DLL beside the program, then in Wine. One beside the program
// that is damaged or for another processor stops Wine's loader; one for the other kind
// of x86 it passes over.
func (r *resolver) find(lib *Library, key string) {
	path, ok := r.f.Beside(lib.Name)
	if ok && key != "ntdll.dll" && key != "kernel32.dll" && key != "kernelbase.dll" {
		i, err := r.f.Read(path)
		if err == nil {
			err = r.loadable(i)
		}
		if err == nil {
			lib.Where, lib.Path = Beside, path
			r.queue = append(r.queue, i)
			return
		}
		if host, found := r.f.Builtin(lib.Name); found && otherX86(i, r.program) {
			r.builtin(lib, host)
			return
		}
		lib.Where, lib.Path, lib.Why = Broken, path, err.Error()
		return
	}
	if host, found := r.f.Builtin(lib.Name); found {
		r.builtin(lib, host)
		return
	}
	lib.Where = Missing
}

func (r *resolver) builtin(lib *Library, host string) {
	lib.Where = Builtin
	if !strings.EqualFold(host, normal(lib.Name)) {
		lib.Path = host
	}
}

func otherX86(a, b Info) bool { return a.Bits+b.Bits == 32+64 && x86(a.Machine) && x86(b.Machine) }

// loadable says why the program cannot load a library.
func (r *resolver) loadable(i Info) error {
	if i.Script || i.Machine != r.program.Machine {
		return unfit(i.Path, KindCPU, "%s, which a %d-bit program cannot load", i, r.program.Bits)
	}
	return nil
}

// Lacking gives the DLLs without which the program cannot start.
func (r Resolution) Lacking() []Library {
	var list []Library
	for _, l := range r.Libraries {
		if (l.Where == Missing || l.Where == Broken) && !l.Delayed {
			list = append(list, l)
		}
	}
	return list
}

// Count tells how many DLLs are needed and how many of them were found.
func (r Resolution) Count() (needed, found int) {
	for _, l := range r.Libraries {
		needed++
		if l.Where == Beside || l.Where == Builtin {
			found++
		}
	}
	return needed, found
}

// String is one line for a person: "absent.dll, needed by sim.exe: not found".
func (l Library) String() string {
	s := oneWord(l.Name) + ", needed by " + oneWord(strings.Join(l.By, ", "))
	if l.Why != "" && l.Where != Broken {
		s = oneWord(l.Name) + ", loaded " + l.Why
	}
	if l.Delayed {
		s += " when first used"
	}
	switch l.Where {
	case Beside:
		return s + ": beside the program"
	case Builtin:
		if l.Path != "" {
			return fmt.Sprintf("%s: in Wine (%s)", s, l.Path)
		}
		return s + ": in Wine"
	case Broken:
		return s + ": cannot be loaded: " + l.Why
	}
	return s + ": not found beside the program or in Wine"
}
