package ui

import "muster/internal/job"

// Style is how a word looks: one of the sixteen colours every terminal has, or
// a weight. Colour never carries a meaning alone: there is a word or a sign
// beside it.
type Style string

const (
	Plain  Style = ""
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
	Blue   Style = "34"
	Cyan   Style = "36"
)

// Paint gives text a style where the stream shows colours. The text must be
// escaped and have its final width already: what is added takes no cells.
func (s *Stream) Paint(style Style, text string) string {
	if !s.color || style == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}

// StateStyle is the style in which a state's name is written.
func StateStyle(st job.State) Style {
	switch st {
	case job.Completed:
		return Green
	case job.Running:
		return Cyan
	case job.Failed, job.Timeout, job.OutOfMemory, job.BootFail:
		return Red
	case job.NodeFail, job.Lost, job.Cancelled, job.Suspended, job.Gone:
		return Yellow
	}
	return Plain
}
