package ui

import (
	"strings"

	"muster/internal/ui/human"
)

// Column is one column of a Table.
type Column struct {
	Title string
	Right bool // numbers stand under each other's last digits
	Flex  bool // may be cut when the terminal is too narrow; several share the loss
	Path  bool // is cut in the middle rather than at its end
}

// Cell is one field of a table. Text is escaped when it is shown.
type Cell struct {
	Text  string
	Style Style
}

// Table is rows under titles, aligned, without lines around them.
type Table struct {
	Columns []Column
	rows    [][]Cell
}

// Row adds a row of plain cells. Missing ones are empty.
func (t *Table) Row(texts ...string) {
	cells := make([]Cell, len(texts))
	for i, text := range texts {
		cells[i].Text = text
	}
	t.Cells(cells...)
}

// Cells adds a row.
func (t *Table) Cells(cells ...Cell) {
	row := make([]Cell, len(t.Columns))
	for i := range min(len(row), len(cells)) {
		row[i] = Cell{human.Escape(cells[i].Text), cells[i].Style}
	}
	t.rows = append(t.rows, row)
}

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }

const (
	gap      = 2  // spaces between columns
	leastFit = 10 // a flexible column is not made narrower
)

// Lines draws the table within width cells; 0: as wide as it is. paint may be nil.
func (t *Table) Lines(width int, paint func(Style, string) string) []string {
	if paint == nil {
		paint = func(_ Style, text string) string { return text }
	}
	widths := t.widths(width)
	titles := make([]Cell, len(t.Columns))
	any := false
	for i, c := range t.Columns {
		titles[i] = Cell{c.Title, Bold}
		any = any || c.Title != ""
	}
	var lines []string
	if any {
		lines = append(lines, t.line(titles, widths, paint))
	}
	for _, row := range t.rows {
		lines = append(lines, t.line(row, widths, paint))
	}
	return lines
}

// widths settles how wide each column is. When all together are too wide, the
// widest flexible column loses a cell until they fit or nothing can give.
func (t *Table) widths(width int) []int {
	widths := make([]int, len(t.Columns))
	total := gap * (len(widths) - 1)
	for i, c := range t.Columns {
		widths[i] = human.Width(c.Title)
		for _, row := range t.rows {
			widths[i] = max(widths[i], human.Width(row[i].Text))
		}
		total += widths[i]
	}
	for width > 0 && total > width {
		widest := -1
		for i, c := range t.Columns {
			if c.Flex && widths[i] > max(leastFit, human.Width(c.Title)) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
		total--
	}
	return widths
}

func (t *Table) line(cells []Cell, widths []int, paint func(Style, string) string) string {
	var b strings.Builder
	pending := 0 // spaces that are written only when something follows: no line ends in a space
	for i, cell := range cells {
		text := cell.Text
		if t.Columns[i].Path {
			text = human.ClipMiddle(text, widths[i])
		} else {
			text = human.Clip(text, widths[i])
		}
		fill := widths[i] - human.Width(text)
		if t.Columns[i].Right {
			pending, fill = pending+fill, 0
		}
		if text != "" {
			b.WriteString(strings.Repeat(" ", pending))
			b.WriteString(paint(cell.Style, text))
			pending = 0
		}
		pending += fill + gap
	}
	return b.String()
}

// Table prints t on the stream, as wide as its terminal is.
func (s *Stream) Table(t *Table) {
	for _, line := range t.Lines(s.Width(), s.Paint) {
		s.Print(line + "\n")
	}
}
