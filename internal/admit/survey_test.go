package admit

import (
	"testing"

	"muster/internal/node"
)

func TestSurvey(t *testing.T) {
	least := Need{Memory: mib / 2, Tasks: 1, Inodes: 3}
	for _, c := range []struct {
		name       string
		up         int
		change     func(*node.Room)
		footprints []int64
		memory     int64 // of one, without the margin
		tasks      int64
		firm       bool
	}{
		{"nothing grows", 8, func(*node.Room) {}, nil, mib / 2, 1, false},
		{"the machine's use shrinks", 32, func(r *node.Room) { r.Memory[0].Used -= gib }, nil, mib / 2, 1, true},
		{"programs' own pages say more", 8, func(r *node.Room) { r.Memory[0].Used += 8 * mib }, []int64{2 * mib, 4 * mib}, 3 * mib, 1, false},
		{"the machine says more", 8, func(r *node.Room) { r.Memory[0].Used += 80 * mib }, []int64{2 * mib}, 10 * mib, 1, false},
		{"much at once", 4, func(r *node.Room) { r.Memory[0].Used += gib }, nil, gib / 4, 1, true},
		{"threads", 32, func(r *node.Room) {
			for i := range r.Tasks {
				r.Tasks[i].Used += 32*8 + 9
			}
		}, nil, mib / 2, 8, true},
		{"the tightest group counts", 32, func(r *node.Room) {
			r.Memory[0].Used += 32 * 7 * mib // others' as well
			r.Memory[1].Used += 32 * 2 * mib
		}, nil, 2 * mib, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			small := node.Bound{By: "memory cgroup /a", Limit: gib}
			before, now := in(Memory, small), in(Memory, small)
			if c.name != "the tightest group counts" {
				before, now = desk(), desk()
			}
			c.change(&now)
			l := Survey{Before: Sight{Room: before}, Least: least}.Look(c.up, Sight{Room: now, Pss: c.footprints})
			want := c.memory + c.memory*margin/100
			if l.Each.Memory != want || l.Each.Tasks != c.tasks || l.Each.Inodes != 3 || l.Firm != c.firm || l.Up != c.up {
				t.Errorf("got %+v, want memory %d, tasks %d, firm %v", l, want, c.tasks, c.firm)
			}
		})
	}
}

// TestSurveyAmongOthers: many launches on one machine at the same time, as on a cluster that
// is made of one machine; each looks at its own.
func TestSurveyAmongOthers(t *testing.T) {
	const up, launches = 32, 256
	now := desk()
	now.Memory[0].Used += up * launches * mib
	for i := range now.Tasks {
		now.Tasks[i].Used += up * launches * 2
	}
	now.Files[0].Used += up * launches * 10
	before := Sight{Room: desk(), Own: &node.Tree{Memory: 8 * mib, Tasks: 4, Processes: 4}}
	l := Survey{Before: before, Least: Need{Memory: mib / 4, Tasks: 1, Files: 5}}.Look(up,
		Sight{Room: now, Own: &node.Tree{Memory: (8 + up/2) * mib, Tasks: 4 + 2*up, Processes: 4 + up}})
	if l.Each.Memory < mib || l.Each.Memory > 11*mib/10+mib/10 || l.Each.Tasks != 2 || l.Each.Files != 10 {
		t.Errorf("one takes %+v", l.Each)
	}
}
