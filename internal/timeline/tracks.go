package timeline

import (
	"container/heap"
	"time"
)

// tracks puts spans that come ordered by their start on as few tracks as they
// need so that none overlap, the lowest free one first.
type tracks struct {
	busy    endHeap
	free    intHeap
	threads []int // the viewer's thread number of each track
	n       int
}

// place returns the track for a span; a track that was not there before has
// the next number.
func (tr *tracks) place(start, end time.Duration) int {
	for len(tr.busy) > 0 && tr.busy[0].end <= start {
		heap.Push(&tr.free, heap.Pop(&tr.busy).(busyTrack).track)
	}
	k := tr.n
	if len(tr.free) > 0 {
		k = heap.Pop(&tr.free).(int)
	} else {
		tr.n++
	}
	heap.Push(&tr.busy, busyTrack{end, k})
	return k
}

type busyTrack struct {
	end   time.Duration
	track int
}

type endHeap []busyTrack

func (h endHeap) Len() int           { return len(h) }
func (h endHeap) Less(i, j int) bool { return h[i].end < h[j].end }
func (h endHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *endHeap) Push(x any)        { *h = append(*h, x.(busyTrack)) }
func (h *endHeap) Pop() any {
	x := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return x
}

type intHeap []int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *intHeap) Pop() any {
	x := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return x
}
