package admit

// Waves cuts n programs into the fewest waves of at most atOnce, as equal as they can
// be, the larger ones first. Nil when none fits.
func Waves(n, atOnce int) []int {
	if n <= 0 || atOnce <= 0 {
		return nil
	}
	count := (n + atOnce - 1) / atOnce
	waves := make([]int, count)
	for i := range waves {
		waves[i] = n / count
		if i < n%count {
			waves[i]++
		}
	}
	return waves
}
