package wine

import (
	"context"
	"sync"

	"muster/internal/proc"
)

// undertaker ends what runs under servers that have died. When hundreds die at
// the same time, it is called hundreds of times and looks for all of them together.
type undertaker struct {
	table *proc.Table

	mu      sync.Mutex
	waiting []grave
	busy    bool
}

type grave struct {
	mark string
	done chan struct{}
}

// bury ends everything that carries mark, as far as it can be ended, and returns when that is done.
func (u *undertaker) bury(mark string) {
	g := grave{mark, make(chan struct{})}
	u.mu.Lock()
	u.waiting = append(u.waiting, g)
	first := !u.busy
	u.busy = true
	u.mu.Unlock()
	if first {
		go u.work()
	}
	<-g.done
}

func (u *undertaker) work() {
	for {
		u.mu.Lock()
		graves := u.waiting
		u.waiting = nil
		u.busy = len(graves) > 0
		u.mu.Unlock()
		if len(graves) == 0 {
			return
		}
		var marks []string
		for _, g := range graves {
			marks = append(marks, g.mark)
		}
		u.table.Family(marks...).Kill(context.Background()) // whoever closes the instances reports what is left
		for _, g := range graves {
			close(g.done)
		}
	}
}
