package plot

import (
	"image/color"
	"math"

	"gonum.org/v1/plot/vg"
)

// logLook is how a series of measurements is drawn.
type logLook struct {
	lineLook
	sign func(c *canvas, at vg.Point, col color.Color)
}

// logLooks differ in hue, in dashes and in their signs.
func logLooks() []logLook {
	return []logLook{
		{lineLook{skyBlue, darkBlue, 2.0, nil}, polygon(24, 0)},
		{lineLook{vermilion, vermilion, 1.2, []vg.Length{7, 2, 1.5, 2}}, polygon(4, math.Pi/4)},
		{lineLook{green, green, 1.2, []vg.Length{6, 3}}, polygon(3, math.Pi/2)},
		{lineLook{purple, purple, 1.2, []vg.Length{2, 2}}, polygon(4, 0)},
		{lineLook{orange, darkOrange, 1.2, []vg.Length{10, 3}}, polygon(3, -math.Pi/2)},
		{lineLook{black, black, 1.0, []vg.Length{1.2, 2.4}}, polygon(6, 0)},
	}
}

// darkOrange is the text colour that belongs to orange.
var darkOrange = color.RGBA{0x8A, 0x5F, 0x00, 0xFF}

// referenceLook is that of other people's figures.
func referenceLook() logLook {
	return logLook{lineLook{ink, ink, 1, nil}, star}
}

// polygon is a filled sign of n corners, the first at that angle; all have about
// the same area.
func polygon(n int, angle float64) func(*canvas, vg.Point, color.Color) {
	area := float64(n) / 2 * math.Sin(2*math.Pi/float64(n)) // for radius 1
	r := signRadius * vg.Length(math.Sqrt(math.Pi/area))
	return func(c *canvas, at vg.Point, col color.Color) {
		c.fillRound(at, col, n, func(int) vg.Length { return r }, angle)
	}
}

// star is a five-pointed one.
func star(c *canvas, at vg.Point, col color.Color) {
	c.fillRound(at, col, 10, func(k int) vg.Length {
		if k%2 == 0 {
			return 2 * signRadius
		}
		return 0.8 * signRadius
	}, math.Pi/2)
}

// fillRound fills a shape of n corners around a point, with a rim of paper that
// keeps signs apart where they meet.
func (c *canvas) fillRound(at vg.Point, col color.Color, n int, radius func(k int) vg.Length, angle float64) {
	var p vg.Path
	for k := range n {
		r := radius(k)
		sin, cos := math.Sincos(angle + 2*math.Pi*float64(k)/float64(n))
		pt := roundPoint(vg.Point{X: at.X + r*vg.Length(cos), Y: at.Y + r*vg.Length(sin)})
		if k == 0 {
			p.Move(pt)
		} else {
			p.Line(pt)
		}
	}
	p.Close()
	c.SetColor(col)
	c.Fill(p)
	c.Push()
	defer c.Pop()
	c.SetColor(white)
	c.SetLineWidth(0.5)
	c.SetLineDash(nil, 0)
	c.Stroke(p)
}
