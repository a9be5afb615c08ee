package plan

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/job"
)

// Chunks cover all calls, shrink down to 1, and are no more than what their claims may cost.
func TestChunks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		calls := rapid.OneOf(rapid.IntRange(1, 300), rapid.IntRange(1, 2_000_000)).Draw(t, "calls")
		elements := rapid.OneOf(rapid.IntRange(1, 5), rapid.IntRange(1, 1000)).Draw(t, "elements")
		lanes := elements * rapid.IntRange(1, 128).Draw(t, "lanes of each")
		sizes := chunks(calls, elements, lanes)
		sum := 0
		for i, n := range sizes {
			sum += n
			if n < 1 || i > 0 && n > sizes[i-1] {
				t.Fatalf("chunk %d has %d calls, the one before %d", i, n, sizes[max(i-1, 0)])
			}
		}
		if sum != calls || sizes[len(sizes)-1] != 1 {
			t.Fatalf("%d calls of %d, the last chunk has %d", sum, calls, sizes[len(sizes)-1])
		}
		if len(sizes) > 32*lanes || len(sizes) > chunksPerElement*elements || len(sizes) > chunksAtMost {
			t.Fatalf("%d chunks for %d elements with %d lanes", len(sizes), elements, lanes)
		}
		if len(sizes) < min(calls, elements) {
			t.Fatalf("%d chunks, and %d elements wait for one", len(sizes), elements)
		}
		if fair := (calls-1)/elements + 1; sizes[0] > fair {
			t.Fatalf("the first chunk has %d calls, more than an element's part (%d)", sizes[0], fair)
		}
	})
}

func TestChunkSizes(t *testing.T) {
	for _, tt := range []struct {
		calls, elements, lanes int
		want                   string
	}{
		{1, 1, 1, "[1]"},
		{8, 2, 2, "[1 1 1 1 1 1 1 1]"},
		{40, 2, 2, "[3 3 3 2 2 2 2 2 2 2 2 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1]"},
		{100, 2, 100, "[1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1]"},
	} {
		if got := fmt.Sprint(chunks(tt.calls, tt.elements, tt.lanes)); got != tt.want {
			t.Errorf("chunks(%d, %d, %d) = %s, want %s", tt.calls, tt.elements, tt.lanes, got, tt.want)
		}
	}
}

// A dynamic plan has every task that is left once, in the pool or, for one
// element, in that; its calls are those of the block distribution.
func TestPool(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRequest(t)
		r.Spec.Distribution = job.Block
		if rapid.Bool().Draw(t, "resume") {
			left := job.NewIndexSet(rapid.SliceOfDistinct(rapid.IntRange(1, r.Tasks), rapid.ID[int]).Draw(t, "left")...)
			r.Left = &left
		}
		block := mustMake(t, r)
		r.Spec.Distribution = job.Dynamic
		p := mustMake(t, r)
		var want, got [][]int
		for _, e := range block.Elements {
			want = append(want, e.Calls...)
		}
		for _, e := range p.Elements {
			got = append(got, e.Calls...)
			if p.Pool != nil && len(e.Calls) > 0 || e.Ranks != nil {
				t.Fatalf("an element of its own: %+v", e)
			}
			if e.Lanes < 1 || e.Lanes > max(r.Spec.Lanes, r.Spec.NP.PerNode) {
				t.Fatalf("%d lanes", e.Lanes)
			}
		}
		if p.Pool != nil {
			if len(p.Elements) == 1 {
				t.Fatal("a pool for one element")
			}
			got = p.Pool.Calls
			sum := 0
			for _, n := range p.Pool.Chunks {
				sum += n
			}
			if sum != len(got) || len(got) < len(p.Elements) {
				t.Fatalf("%d calls, %d in chunks, %d elements", len(got), sum, len(p.Elements))
			}
		}
		if r.Spec.AppType == job.SISO {
			slices.SortFunc(want, slices.Compare)
		}
		if !slices.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("calls %v, want %v", got, want)
		}
		// All nodes take part, wherever what is left would have been.
		r.Left, r.Spec.Distribution = nil, job.Block
		whole := mustMake(t, r)
		if len(p.Elements) != min(len(whole.Elements), len(want)) {
			t.Fatalf("%d elements for %d calls on %d nodes", len(p.Elements), len(want), len(whole.Elements))
		}
		for i, e := range p.Elements {
			if b := whole.Elements[i]; e.Node != b.Node || e.FirstRank != b.FirstRank || e.PerNode != b.PerNode || e.Index != i+1 {
				t.Fatalf("%+v, and %+v in blocks", e, b)
			}
		}
	})
}
