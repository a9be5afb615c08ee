package proc

import (
	"slices"
	"testing"
)

// An exit that was seen while a Start was under way is kept for that one only: a
// child that gets the number of an orphan has not ended.
func TestEarlyExitsAreForgotten(t *testing.T) {
	table := &Table{
		begun:    7,
		inflight: map[uint64]struct{}{5: {}, 7: {}},
		early: map[int]result{
			100: {begun: 4}, // seen before the oldest Start under way began
			101: {begun: 5},
			102: {begun: 7},
		},
	}
	left := func() (pids []int) {
		for pid := range table.early {
			pids = append(pids, pid)
		}
		slices.Sort(pids)
		return pids
	}
	table.forget()
	if got := left(); !slices.Equal(got, []int{101, 102}) {
		t.Errorf("with Starts 5 and 7 under way: %v", got)
	}
	delete(table.inflight, 5)
	table.forget()
	if got := left(); !slices.Equal(got, []int{102}) {
		t.Errorf("with Start 7 under way: %v", got)
	}
	delete(table.inflight, 7)
	table.forget()
	if got := left(); len(got) != 0 {
		t.Errorf("with none under way: %v", got)
	}
}
