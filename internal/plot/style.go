package plot

import (
	"image/color"

	"gonum.org/v1/plot/vg"

	"muster/internal/job"
)

// The hues are Okabe and Ito's, which people with any colour vision tell apart,
// made darker where their contrast with white paper was below 3:1. Phases that
// follow each other alternate between light and dark, so that they differ in
// black and white as well.
var (
	ink       = color.RGBA{0x1A, 0x1A, 0x1A, 0xFF}
	greyText  = color.RGBA{0x59, 0x59, 0x59, 0xFF}
	gridGrey  = color.RGBA{0xE0, 0xE0, 0xE0, 0xFF} // no meaning rests on it
	rowGrey   = color.RGBA{0xF3, 0xF3, 0xF3, 0xFF} // the same
	white     = color.RGBA{0xFF, 0xFF, 0xFF, 0xFF}
	unknown   = color.RGBA{0x8C, 0x8C, 0x8C, 0xFF}
	grey      = color.RGBA{0x76, 0x76, 0x76, 0xFF}
	purple    = color.RGBA{0x7A, 0x3A, 0x62, 0xFF}
	orange    = color.RGBA{0xC0, 0x84, 0x00, 0xFF}
	vermilion = color.RGBA{0x8F, 0x3F, 0x00, 0xFF}
	blue      = color.RGBA{0x00, 0x32, 0x5C, 0xFF}
	skyBlue   = color.RGBA{0x3A, 0x96, 0xD2, 0xFF}
	green     = color.RGBA{0x00, 0x5F, 0x45, 0xFF}
	black     = color.RGBA{0x2A, 0x2A, 0x2A, 0xFF}
)

// phaseLook is how a phase is drawn, always and everywhere.
type phaseLook struct {
	colour color.Color
	height float64 // of a bar, relative to its row: a second sign beside the colour
}

// look returns how phase p is drawn.
func look(p job.Phase) phaseLook {
	switch p {
	case job.PhaseSubmitted:
		return phaseLook{grey, 0.35}
	case job.PhaseStaged:
		return phaseLook{purple, 0.70}
	case job.PhaseCloned:
		return phaseLook{orange, 0.45}
	case job.PhaseBooted:
		return phaseLook{vermilion, 0.70}
	case job.PhaseStarting:
		return phaseLook{blue, 0.60}
	case job.PhaseRunning:
		return phaseLook{skyBlue, 1.00}
	case job.PhaseExited:
		return phaseLook{green, 0.55}
	case job.PhaseDiscarded:
		return phaseLook{black, 0.30}
	}
	return phaseLook{unknown, 0.5}
}

// PhaseColor is the colour of a phase, the same in every figure.
func PhaseColor(p job.Phase) color.Color { return look(p).colour }

// stackOrder is the order in which shares of phases are stacked in a column
// of a lane, from the bottom: the useful part first, so that its height reads
// as how busy the lane was.
func stackOrder() []job.Phase {
	return []job.Phase{job.PhaseRunning, job.PhaseStarting, job.PhaseBooted, job.PhaseCloned, job.PhaseStaged, job.PhaseSubmitted, job.PhaseDiscarded, job.PhaseExited}
}

// lineLook is how a line is drawn: no two of a panel have the same dashes.
type lineLook struct {
	colour color.Color
	text   color.Color // of its label
	width  vg.Length
	dashes []vg.Length
}

func lookRequested() lineLook { return lineLook{grey, greyText, 1.1, []vg.Length{6, 3}} }
func lookStarted() lineLook   { return lineLook{vermilion, vermilion, 1.1, []vg.Length{7, 2, 1.5, 2}} }
func lookReady() lineLook     { return lineLook{skyBlue, darkBlue, 2.0, nil} }
func lookEnded() lineLook     { return lineLook{green, green, 1.2, nil} }
func lookIdeal() lineLook     { return lineLook{ink, ink, 1.0, []vg.Length{1.2, 2.4}} }
func lookBefore() lineLook    { return lineLook{purple, purple, 1.0, []vg.Length{10, 3}} }

// darkBlue is the text colour that belongs to skyBlue.
var darkBlue = color.RGBA{0x1B, 0x6A, 0x9C, 0xFF}
