// Package human writes numbers, durations, sizes and names the way people read
// them. It knows nothing of terminals, and its functions are pure.
package human

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Count writes n with thousands separators: "10,000".
func Count[N int | int64 | uint64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	if n > 0 && int64(n) < 0 { // a uint64 beyond the range of int64
		s = strconv.FormatUint(uint64(n), 10)
	}
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	var b strings.Builder
	b.WriteString(sign)
	for i, digit := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}

// Plural writes a count with its noun: "1 task", "10,000 tasks". The plural is
// the singular with an s.
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(n) + " " + noun + "s"
}

// Duration writes d with the one or two units that matter: "0.4 ms", "120 ms",
// "1.2 s", "12 s", "3 min 4 s", "2 h 5 min", "3 d 4 h".
func Duration(d time.Duration) string {
	if d < 0 {
		return "-" + Duration(-max(d, -math.MaxInt64))
	}
	switch {
	case d == 0:
		return "0 s"
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d)
	case d < 9950*time.Microsecond:
		return strings.Replace(fmt.Sprintf("%.1f ms", d.Seconds()*1e3), ".0 ", " ", 1)
	case d < 999500*time.Microsecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	d = d.Round(time.Second)
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return pair(d, time.Minute, "min", time.Second, "s")
	case d < 2*day:
		return pair(d.Round(time.Minute), time.Hour, "h", time.Minute, "min")
	}
	return pair(d.Round(time.Hour), day, "d", time.Hour, "h")
}

// Seconds is Duration in whole seconds, at least one: for clocks that tick by.
func Seconds(d time.Duration) string {
	d = max(d.Round(time.Second), time.Second)
	if d < time.Minute {
		return fmt.Sprintf("%d s", d/time.Second)
	}
	return Duration(d)
}

// pair writes d in two units, the second only when it is not zero.
func pair(d, big time.Duration, bigName string, small time.Duration, smallName string) string {
	s := fmt.Sprintf("%d %s", d/big, bigName)
	if rest := d % big / small; rest > 0 {
		s += fmt.Sprintf(" %d %s", rest, smallName)
	}
	return s
}

// Bytes writes a size in decimal units, as disks and networks are measured:
// "512 B", "1.8 MB", "24 GB".
func Bytes(n int64) string {
	if n < 0 {
		return "-" + Bytes(-max(n, -math.MaxInt64))
	}
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := scale(float64(n), 1000, []string{"kB", "MB", "GB", "TB", "PB", "EB"})
	return v + " " + unit
}

// Memory writes an amount of memory in the form that --mem takes, K, M, G and T
// being binary as Slurm has them: "400M", "1.5G".
func Memory(n int64) string {
	if n < 0 {
		return "-" + Memory(-max(n, -math.MaxInt64))
	}
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	v, unit := scale(float64(n), 1024, []string{"K", "M", "G", "T", "P", "E"})
	return v + unit
}

// scale divides v by base until it is small, and writes it with two significant
// digits below ten and none after the point above.
func scale(v, base float64, units []string) (string, string) {
	v /= base
	i := 0
	for ; i < len(units)-1 && v >= base-0.5; i++ {
		v /= base
	}
	if v < 9.95 {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0"), units[i]
	}
	return fmt.Sprintf("%.0f", v), units[i]
}

// Rate writes how many of something happen in a second: "151/s", "0.4/s",
// "12/min" for what is slower than one in ten seconds.
func Rate(perSecond float64) string {
	switch {
	case math.IsNaN(perSecond) || math.IsInf(perSecond, 0) || perSecond <= 0:
		return "0/s"
	case perSecond < 0.1/60:
		return fmt.Sprintf("%.1f/h", perSecond*3600)
	case perSecond < 0.1:
		return fmt.Sprintf("%.1f/min", perSecond*60)
	case perSecond < 9.95:
		return fmt.Sprintf("%.1f/s", perSecond)
	}
	return Count(int(math.Round(perSecond))) + "/s"
}

// Percent writes part of whole in full per cent. It says 100 % only when nothing
// is missing, and 0 % only when nothing is there.
func Percent(part, whole int) string {
	if whole <= 0 {
		return "0 %"
	}
	p := int(math.Round(float64(part) / float64(whole) * 100))
	switch {
	case part < whole:
		p = min(p, 99)
	case part == whole:
		p = 100
	}
	if part > 0 {
		p = max(p, 1)
	}
	return fmt.Sprintf("%d %%", p)
}

// Ranges writes a rising list of numbers in Slurm's form: "1-3,7". At most limit
// ranges are written, and how many numbers were left out is said: "1-3,7 and 12
// more"; limit 0 writes all.
func Ranges(numbers []int, limit int) string {
	var b strings.Builder
	written := 0
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		if limit > 0 && written == limit {
			fmt.Fprintf(&b, " and %s more", Count(len(numbers)-i))
			break
		}
		if written > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(numbers[i]))
		if j > i {
			fmt.Fprintf(&b, "-%d", numbers[j])
		}
		written++
		i = j + 1
	}
	return b.String()
}
