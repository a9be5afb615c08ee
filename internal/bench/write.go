package bench

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"muster/internal/plot"
)

// Write writes everything that a result is shown in to a folder, and returns the
// names of the files, the most telling one last.
func (r *Result) Write(dir string) ([]string, error) {
	var names []string
	write := func(name string, content func(io.Writer) error) error {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if err := content(f); err != nil {
			f.Close()
			return err
		}
		names = append(names, name)
		return f.Close()
	}
	if err := write("launch.csv", r.WriteCSV); err != nil {
		return names, err
	}
	if err := write("launch.json", r.WriteJSON); err != nil {
		return names, err
	}
	for _, d := range r.Figures() {
		for _, ext := range []string{".svg", ".png"} {
			if err := plot.WriteFile(filepath.Join(dir, d.Name+ext), d.Figure); err != nil {
				return names, fmt.Errorf("drawing %s: %w", d.Name, err)
			}
			names = append(names, d.Name+ext)
		}
	}
	return names, write("report.md", r.WriteReport)
}
