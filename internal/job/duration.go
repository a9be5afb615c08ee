package job

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const durationHelp = "write 30 (minutes), 90s, 1h30m, 2d, 1:30:00 or 1-12:00"

// ParseDuration reads a time span as Slurm writes it, or with units:
//
//	30            minutes
//	5:30          minutes:seconds
//	1:30:00       hours:minutes:seconds
//	1-12          days-hours
//	1-12:30       days-hours:minutes
//	1-12:30:00    days-hours:minutes:seconds
//	90s 1h30m 2d  units: d h m s ms us ns, from large to small
//
// Spans are never negative. The error is ErrBadInput.
func ParseDuration(s string) (time.Duration, error) {
	d, ok := parseDuration(strings.TrimSpace(s))
	if !ok {
		return 0, BadInputf("%q is not a time span: %s", s, durationHelp)
	}
	return d, nil
}

func parseDuration(s string) (time.Duration, bool) {
	switch {
	case s == "":
		return 0, false
	case strings.ContainsAny(s, ":-"):
		return parseClock(s)
	case digits(s):
		return sumUnits([]string{s}, []time.Duration{time.Minute})
	}
	return parseUnits(s)
}

// parseClock reads Slurm's forms with colons and a dash.
func parseClock(s string) (time.Duration, bool) {
	day, rest, hasDays := strings.Cut(s, "-")
	if !hasDays {
		rest = s
	}
	parts := strings.Split(rest, ":")
	var units []time.Duration
	switch {
	case hasDays && len(parts) <= 3:
		units = []time.Duration{time.Hour, time.Minute, time.Second}[:len(parts)]
		parts = append([]string{day}, parts...)
		units = append([]time.Duration{24 * time.Hour}, units...)
	case !hasDays && len(parts) == 2:
		units = []time.Duration{time.Minute, time.Second}
	case !hasDays && len(parts) == 3:
		units = []time.Duration{time.Hour, time.Minute, time.Second}
	default:
		return 0, false
	}
	return sumUnits(parts, units)
}

// sumUnits adds whole numbers of units, and reports whether all were numbers
// and the sum can be expressed.
func sumUnits(parts []string, units []time.Duration) (time.Duration, bool) {
	var sum time.Duration
	for i, p := range parts {
		if !digits(p) {
			return 0, false
		}
		n, err := strconv.ParseInt(p, 10, 64)
		if err != nil || n > int64((math.MaxInt64-sum)/units[i]) {
			return 0, false
		}
		sum += time.Duration(n) * units[i]
	}
	return sum, true
}

// parseUnits reads Go's form, with days added in front: 2d12h.
func parseUnits(s string) (time.Duration, bool) {
	day, rest, hasDays := strings.Cut(s, "d")
	if !hasDays {
		day, rest = "0", s
	}
	sum, ok := sumUnits([]string{day}, []time.Duration{24 * time.Hour})
	if !ok {
		return 0, false
	}
	if rest == "" {
		return sum, true
	}
	if rest[0] == '+' || rest[0] == '-' {
		return 0, false
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d > math.MaxInt64-sum {
		return 0, false
	}
	return sum + d, true
}

// FormatDuration writes d so that ParseDuration reads it back: Slurm's
// HH:MM:SS or D-HH:MM:SS for whole seconds, otherwise units. d must not be
// negative.
func FormatDuration(d time.Duration) string {
	if d%time.Second != 0 {
		return d.String()
	}
	s := int64(d / time.Second)
	clock := fmt.Sprintf("%02d:%02d:%02d", s/3600%24, s/60%60, s%60)
	if days := s / 86400; days > 0 {
		return fmt.Sprintf("%d-%s", days, clock)
	}
	return clock
}

// digits reports whether s is one or more ASCII digits.
func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
