package bench

import "time"

// Counts are the numbers of instances of the published experiment: 1, 2, 4 … as
// far as most, and most itself.
func Counts(most int) []int {
	var out []int
	for n := 1; n < most; n *= 2 {
		out = append(out, n)
	}
	return append(out, max(most, 1))
}

// A Need is what one more instance takes, roughly and rather too much: it
// decides how far an experiment goes by default and how long it is said to take,
// never what is reported.
type Need struct {
	Memory int64   // bytes
	PIDs   int     // processes and threads
	Rate   float64 // starts per second and CPU
}

// Room is what a machine has left.
type Room struct {
	Memory int64 // bytes that can be had
	PIDs   int   // 0: not known
	CPUs   int
}

// PublishedMost is where the published experiment ended.
const PublishedMost = 16_384

// Fit is how many instances fit, a power of two and at most PublishedMost. A fifth
// of the memory is left to everybody else.
func Fit(n Need, r Room) int {
	most := int(r.Memory * 4 / 5 / max(n.Memory, 1))
	if r.PIDs > 0 {
		most = min(most, r.PIDs*9/10/max(n.PIDs, 1))
	}
	fit := 1
	for fit*2 <= min(most, PublishedMost) {
		fit *= 2
	}
	return fit
}

// Estimate is about how long a series takes: its starts, and for each launch
// what does not depend on how many there are.
func (n Need) Estimate(counts []int, repeats, cpus int, fixed time.Duration) time.Duration {
	var total time.Duration
	for _, c := range counts {
		up := time.Duration(float64(c) / (n.Rate * float64(max(cpus, 1))) * float64(time.Second))
		total += fixed + up
	}
	return total * time.Duration(repeats)
}
