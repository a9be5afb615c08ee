package admit

import (
	"testing"

	"pgregory.net/rapid"
)

func TestWaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, atOnce := rapid.IntRange(1, 100000).Draw(t, "n"), rapid.IntRange(1, 100000).Draw(t, "at once")
		waves := Waves(n, atOnce)
		sum := 0
		for i, w := range waves {
			sum += w
			if w > atOnce || w > waves[0] || w < waves[0]-1 || i > 0 && w > waves[i-1] {
				t.Fatalf("wave %d of %v is not like the others, or above %d", i, waves, atOnce)
			}
		}
		if sum != n {
			t.Fatalf("%v are %d programs, not %d", waves, sum, n)
		}
		if (len(waves)-1)*atOnce >= n {
			t.Fatalf("%d waves of up to %d for %d: fewer would do", len(waves), atOnce, n)
		}
	})
	for _, c := range [][2]int{{0, 5}, {5, 0}, {-1, -1}} {
		if got := Waves(c[0], c[1]); got != nil {
			t.Errorf("Waves(%d, %d) = %v", c[0], c[1], got)
		}
	}
}
