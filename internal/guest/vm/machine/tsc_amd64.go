package machine

import (
	"time"
)

// rdtsc reads the processor's time stamp counter.
func rdtsc() uint64

// HostTSC measures by how many kHz this host's time stamp counter counts. A guest under TCG sees the
// host's counter, and has no other clock to measure it by. It takes a fiftieth of a second.
func HostTSC() int64 {
	begin, from := stamp()
	time.Sleep(20 * time.Millisecond)
	end, to := stamp()
	return int64(float64(to-from) / float64(end.Sub(begin).Nanoseconds()) * 1e6)
}

// stamp reads both clocks at the same moment: of some tries that which took the least time.
func stamp() (at time.Time, tsc uint64) {
	best := time.Hour
	for range 20 {
		before := time.Now()
		count := rdtsc()
		after := time.Now()
		if took := after.Sub(before); took < best {
			best, at, tsc = took, before.Add(took/2), count
		}
	}
	return at, tsc
}
