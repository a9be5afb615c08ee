package bench

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"muster/internal/plot"
)

// Write writes everything that a result is shown in to a folder, and returns the
// names of the files, the most telling one last.
func (r *Result) Write(dir string) ([]string, error) {
	w := writing{dir: dir}
	w.file("launch.csv", r.WriteCSV)
	w.file("launch.json", r.WriteJSON)
	w.draw(r.Figures())
	w.file("report.md", r.WriteReport)
	return w.names, w.err
}

// writing writes files until one cannot be written.
type writing struct {
	dir   string
	names []string
	err   error
}

func (w *writing) file(name string, content func(io.Writer) error) {
	if w.err != nil {
		return
	}
	f, err := os.Create(filepath.Join(w.dir, name))
	if err != nil {
		w.err = err
		return
	}
	w.err = errors.Join(content(f), f.Close())
	w.names = append(w.names, name)
}

func (w *writing) draw(all []Drawing) {
	for _, d := range all {
		for _, ext := range []string{".svg", ".png"} {
			if w.err != nil {
				return
			}
			if err := plot.WriteFile(filepath.Join(w.dir, d.Name+ext), d.Figure); err != nil {
				w.err = fmt.Errorf("drawing %s: %w", d.Name, err)
				return
			}
			w.names = append(w.names, d.Name+ext)
		}
	}
}
