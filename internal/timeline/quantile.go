package timeline

import (
	"math"
	"slices"
	"time"
)

// QuantileMethod says, for people, how every percentile here is computed.
const QuantileMethod = "nearest rank: the smallest measured value that at least p % of the values do not exceed"

// Quantile returns the p-quantile (0 < p ≤ 1) of sorted by the nearest-rank
// method, so that every figure shown is one that was measured. It is 0 for no
// values.
func Quantile(sorted []time.Duration, p float64) time.Duration {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	// The small allowance keeps 0.95 × 20 from becoming rank 20 by rounding.
	rank := int(math.Ceil(p*float64(n) - 1e-9))
	return sorted[min(max(rank, 1), n)-1]
}

// Stats describes a set of durations.
type Stats struct {
	Count  int
	Median time.Duration
	P95    time.Duration
	Max    time.Duration
	Total  time.Duration
}

// statsOf sorts d and describes it.
func statsOf(d []time.Duration) Stats {
	slices.Sort(d)
	s := Stats{Count: len(d), Median: Quantile(d, 0.5), P95: Quantile(d, 0.95), Max: Quantile(d, 1)}
	for _, v := range d {
		s.Total += v
	}
	return s
}
