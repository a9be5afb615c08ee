package rundir

import (
	"fmt"
	"os"
)

// Pool is what the elements of a generation share: chunks of calls, which they
// claim one after the other (Claims).
type Pool struct {
	Generation int
	Calls      [][]int // in the order in which they are claimed
	Chunks     []int   // how many calls each chunk has
	Shapes     []Shape // of element 1, 2, …
}

// poolFile is a Pool on disk.
type poolFile struct {
	Generation int         `json:"generation"`
	Elements   []Shape     `json:"elements"`
	Chunks     []int       `json:"chunks"`
	Parts      []sharePart `json:"parts"`
}

// WritePool writes a pool, which must be new, and makes the folder of its claims.
func (r *Run) WritePool(p Pool) error {
	if err := os.MkdirAll(r.claimsPath(p.Generation), 0o700); err != nil {
		return fmt.Errorf("make the folder of claims: %w", err)
	}
	return r.createJSON(r.poolPath(p.Generation), poolFile{p.Generation, p.Shapes, p.Chunks, packCalls(p.Calls)})
}

// readPool reads a pool as the share of an element.
func (r *Run) readPool(gen, element, tasks int) (Share, error) {
	name := r.poolPath(gen)
	data, err := readFile(name)
	if err != nil {
		return Share{}, fmt.Errorf("read what generation %d is to do: %w", gen, err)
	}
	var f poolFile
	if err := unmarshal(data, &f); err != nil {
		return Share{}, &DamageError{File: name, What: err.Error()}
	}
	s := Share{Generation: gen, Element: element, Chunks: f.Chunks, Elements: len(f.Elements)}
	if s.Calls, err = unpackCalls(f.Parts, tasks); err != nil {
		return Share{}, &DamageError{File: name, What: err.Error()}
	}
	if element < 1 || element > len(f.Elements) {
		return Share{}, &DamageError{File: name, What: fmt.Sprintf("it knows no element %d", element)}
	}
	s.Shape = f.Elements[element-1]
	left := len(s.Calls)
	for _, n := range s.Chunks {
		if left -= n; n < 1 || left < 0 {
			break
		}
	}
	if left != 0 {
		return Share{}, &DamageError{File: name, What: fmt.Sprintf("its chunks are not its %d calls", len(s.Calls))}
	}
	return s, nil
}
