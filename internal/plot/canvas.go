package plot

import (
	"image/color"
	"math"
	"strings"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// canvas draws on paper whose origin is at the bottom left, in points.
type canvas struct {
	draw.Canvas
	fonts *font.Cache
}

// textStyle is a size and a weight.
type textStyle struct {
	size vg.Length
	bold bool
}

var (
	styleTitle   = textStyle{12, true}
	styleSub     = textStyle{8.5, false}
	stylePanel   = textStyle{8.5, true}
	styleText    = textStyle{8, false}
	styleSmall   = textStyle{7, false}
	styleCaption = textStyle{8.5, false}
)

func newCanvas(c draw.Canvas) *canvas {
	cv := &canvas{Canvas: c, fonts: font.NewCache(liberation.Collection())}
	cv.fillRect(c.Rectangle, white)
	return cv
}

func (c *canvas) face(st textStyle) font.Face {
	f := font.Font{Typeface: "Liberation", Variant: "Sans"}
	if st.bold {
		f.Weight = xfont.WeightBold
	}
	return c.fonts.Lookup(f, st.size)
}

func (c *canvas) width(st textStyle, s string) vg.Length {
	f := c.face(st)
	return f.Width(s)
}

// text draws s with its baseline at y; align is 0 for text that begins at x, 0.5
// for text centred there, 1 for text that ends there.
func (c *canvas) text(st textStyle, col color.Color, x, y vg.Length, align float64, s string) {
	if s == "" {
		return
	}
	c.SetColor(col)
	c.FillString(c.face(st), vg.Point{X: x - vg.Length(align)*c.width(st, s), Y: y}, s)
}

// clip cuts s so that it is at most w wide.
func (c *canvas) clip(st textStyle, s string, w vg.Length) string {
	if c.width(st, s) <= w {
		return s
	}
	r := []rune(s)
	for len(r) > 0 && c.width(st, string(r)+"…") > w {
		r = r[:len(r)-1]
	}
	return string(r) + "…"
}

func (c *canvas) fillRect(r vg.Rectangle, col color.Color) {
	c.fillRects([]vg.Rectangle{r}, col)
}

// fillRects fills many rectangles as one path, which keeps an SVG small.
func (c *canvas) fillRects(rs []vg.Rectangle, col color.Color) {
	if len(rs) == 0 {
		return
	}
	p := make(vg.Path, 0, 5*len(rs))
	for _, r := range rs {
		p.Move(roundPoint(r.Min))
		p.Line(roundPoint(vg.Point{X: r.Max.X, Y: r.Min.Y}))
		p.Line(roundPoint(r.Max))
		p.Line(roundPoint(vg.Point{X: r.Min.X, Y: r.Max.Y}))
		p.Close()
	}
	c.SetColor(col)
	c.Fill(p)
}

// polyline strokes a line through the points.
func (c *canvas) polyline(pts []vg.Point, lk lineLook) {
	if len(pts) < 2 {
		return
	}
	c.Push()
	defer c.Pop()
	c.SetColor(lk.colour)
	c.SetLineWidth(lk.width)
	c.SetLineDash(lk.dashes, 0)
	var p vg.Path
	for i, pt := range pts {
		if i == 0 {
			p.Move(roundPoint(pt))
		} else {
			p.Line(roundPoint(pt))
		}
	}
	c.Stroke(p)
}

func (c *canvas) line(x0, y0, x1, y1 vg.Length, lk lineLook) {
	c.polyline([]vg.Point{{X: x0, Y: y0}, {X: x1, Y: y1}}, lk)
}

// roundPoint rounds to hundredths of a point, which nobody sees, and which keeps
// the numbers in an SVG short.
func roundPoint(p vg.Point) vg.Point {
	return vg.Point{X: round2(p.X), Y: round2(p.Y)}
}

func round2(l vg.Length) vg.Length { return vg.Length(math.Round(float64(l)*100) / 100) }

func rect(x0, y0, x1, y1 vg.Length) vg.Rectangle {
	return vg.Rectangle{Min: vg.Point{X: x0, Y: y0}, Max: vg.Point{X: x1, Y: y1}}
}

func overlaps(a, b vg.Rectangle, margin vg.Length) bool {
	return a.Min.X < b.Max.X+margin && b.Min.X < a.Max.X+margin && a.Min.Y < b.Max.Y+margin && b.Min.Y < a.Max.Y+margin
}

// measuring is a canvas on which texts can be measured and nothing is drawn.
func measuring() *canvas {
	return &canvas{fonts: font.NewCache(liberation.Collection())}
}

// wrap breaks s at spaces into lines at most w wide.
func (c *canvas) wrap(st textStyle, s string, w vg.Length) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		next := word
		if line != "" {
			next = line + " " + word
		}
		if line != "" && c.width(st, next) > w {
			lines = append(lines, line)
			next = word
		}
		line = next
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
