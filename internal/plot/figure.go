// Package plot draws what happened in a run, for a screen and for paper:
// figures whose title says what is shown and whose caption says what was found,
// with the labels on the lines, and told apart by dashes, signs and lightness as
// well as by colour.
package plot

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// ErrFormat means that a file's extension names no format that figures can be
// written in.
var ErrFormat = errors.New("figures are written as .svg or .png")

// DefaultDPI is the resolution of a PNG for a screen; print wants 300.
const DefaultDPI = 150

// Figure is something that can be drawn. Drawing the same figure twice gives
// the same bytes.
type Figure interface {
	// Size is the figure's size on paper.
	Size() (width, height vg.Length)
	// Title says in one line what is shown.
	Title() string
	// Caption says in plain sentences what was found.
	Caption() string
	// Table writes as CSV the data that the figure shows.
	Table(w io.Writer) error

	draw(c *canvas)
}

// WriteSVG writes the figure as SVG. Texts stay texts in it, in Liberation Sans
// or what the reader has instead; title and caption are also its accessible
// name and description.
func WriteSVG(w io.Writer, f Figure) error {
	width, height := f.Size()
	cv := vgsvg.New(width, height)
	f.draw(newCanvas(draw.NewCanvas(cv, width, height)))
	var buf bytes.Buffer
	if _, err := cv.WriteTo(&buf); err != nil {
		return fmt.Errorf("drawing the SVG: %w", err)
	}
	if _, err := w.Write(describeSVG(buf.Bytes(), f)); err != nil {
		return fmt.Errorf("writing the SVG: %w", err)
	}
	return nil
}

// describeSVG puts title and caption into the svg element, for screen readers,
// and names fonts to fall back to.
func describeSVG(svg []byte, f Figure) []byte {
	svg = bytes.ReplaceAll(svg, []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;"))
	svg = bytes.ReplaceAll(svg, []byte("font-variant:normal;"), nil)
	at := bytes.Index(svg, []byte("<svg"))
	end := bytes.IndexByte(svg[at:], '>') + at
	text := fmt.Sprintf(" role=\"img\">\n<title>%s</title>\n<desc>%s</desc>", html.EscapeString(f.Title()), html.EscapeString(f.Caption()))
	return bytes.Join([][]byte{svg[:end], svg[end+1:]}, []byte(text))
}

// WritePNG writes the figure as PNG with dpi dots per inch.
func WritePNG(w io.Writer, f Figure, dpi int) error {
	if dpi < 20 || dpi > 1200 {
		return fmt.Errorf("a PNG has 20 to 1200 dots per inch, not %d", dpi)
	}
	width, height := f.Size()
	cv := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dpi))}
	f.draw(newCanvas(draw.NewCanvas(cv, width, height)))
	if _, err := cv.WriteTo(w); err != nil {
		return fmt.Errorf("writing the PNG: %w", err)
	}
	return nil
}

// WriteFile writes the figure to path in the format that its extension names;
// what was there before stays until the new file is complete. Errors:
// ErrFormat, before anything is touched.
func WriteFile(path string, f Figure) error {
	var write func(io.Writer) error
	switch strings.ToLower(filepath.Ext(path)) {
	case ".svg":
		write = func(w io.Writer) error { return WriteSVG(w, f) }
	case ".png":
		write = func(w io.Writer) error { return WritePNG(w, f, DefaultDPI) }
	default:
		return fmt.Errorf("%s: %w", path, ErrFormat)
	}
	return replaceFile(path, write)
}

// WriteTable writes the figure's data as CSV to path.
func WriteTable(path string, f Figure) error {
	return replaceFile(path, f.Table)
}

// replaceFile writes a file beside path and puts it in its place when whole.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".muster-plot-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()           // closed already, or the first error counts
			_ = os.Remove(tmp.Name()) // the same
		}
	}()
	if err := write(tmp); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	// The user's own file, to be shown around: not secret as CreateTemp has it.
	if err := tmp.Chmod(0o644); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
