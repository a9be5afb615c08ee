package machine

import (
	"fmt"

	"golang.org/x/sys/unix"

	"muster/internal/proc"
)

// limits bound what a QEMU that a guest has got hold of can take of its host. They are far above what any needs: a thread
// that gets no address space would end it. have tells what holds already: nobody but root may raise that.
func (c Config) limits(have func(resource int, limit *unix.Rlimit) error) ([]proc.Limit, error) {
	// Each thread reserves a stack and an arena of malloc's; QEMU has up to 64 for its disks.
	const others, each = 8 << 30, 256 << 20
	out := []proc.Limit{
		{Resource: unix.RLIMIT_CORE, Value: 0}, // a core would be the guest's memory
		{Resource: unix.RLIMIT_NOFILE, Value: 4096},
		{Resource: unix.RLIMIT_AS, Value: uint64(c.Memory) + translations<<20 + others + uint64(c.vcpus())*each},
	}
	for i, l := range out {
		var held unix.Rlimit
		if err := have(l.Resource, &held); err != nil {
			return nil, fmt.Errorf("reading resource limit %d: %w", l.Resource, err)
		}
		out[i].Value = min(l.Value, held.Max)
	}
	return out, nil
}
