package plot

import (
	"image/color"

	"gonum.org/v1/plot/vg"

	"muster/internal/job"
)

// legendItem is a phase or a sign with its name.
type legendItem struct {
	text  string
	phase job.Phase // or
	sign  sign
	idle  bool
	width vg.Length
}

const swatchWidth, swatchHeight = vg.Length(12), vg.Length(8)

// legend names the phases and signs that occur, broken into lines.
func (f *RunFigure) legend(c *canvas) [][]legendItem {
	var items []legendItem
	for _, ps := range f.sum.Phases {
		items = append(items, legendItem{text: string(ps.Phase), phase: ps.Phase})
	}
	if len(items) > 0 {
		items = append(items, legendItem{text: "idle", idle: true})
	}
	for sg, name := range map[sign]string{failSign: "failed", lostSign: "lost or cancelled", openSign: "had not ended"} {
		if f.signs[sg] > 0 {
			items = append(items, legendItem{text: name, sign: sg})
		}
	}
	sortSigns(items)
	var lines [][]legendItem
	room := vg.Length(0)
	for _, it := range items {
		it.width = swatchWidth + 4 + c.width(styleText, it.text) + 9
		if len(lines) == 0 || it.width-9 > room {
			lines = append(lines, nil)
			room = pageWidth - 2*marginRight
		}
		last := len(lines) - 1
		lines[last] = append(lines[last], it)
		room -= it.width
	}
	return lines
}

// sortSigns puts the signs, which come last, in their order.
func sortSigns(items []legendItem) {
	for i := 1; i < len(items); i++ {
		for j := i; j > 0 && items[j].sign < items[j-1].sign && items[j].sign != noSign; j-- {
			items[j], items[j-1] = items[j-1], items[j]
		}
	}
}

// drawLegend draws each phase's bar at the height that it has in its row.
func (f *RunFigure) drawLegend(c *canvas, lines [][]legendItem, top vg.Length) {
	exact := f.rowsAreExact()
	for i, items := range lines {
		x, y := marginRight, top-legendLine*vg.Length(i)-swatchHeight-1
		for _, it := range items {
			switch {
			case it.sign != noSign:
				c.drawSign(it.sign, x+swatchWidth/2, y+swatchHeight/2, 3)
			case it.idle:
				c.fillRect(rect(x, y, x+swatchWidth, y+swatchHeight), rowGrey)
			default:
				lk := look(it.phase)
				h := swatchHeight
				if exact {
					c.fillRect(rect(x, y, x+swatchWidth, y+swatchHeight), rowGrey)
					h *= vg.Length(lk.height)
				}
				c.fillRect(rect(x, y, x+swatchWidth, y+h), lk.colour)
			}
			var textColour color.Color = ink
			c.text(styleText, textColour, x+swatchWidth+4, y+1.4, 0, it.text)
			x += it.width
		}
	}
}
