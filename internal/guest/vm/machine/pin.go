package machine

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// pin gives each vCPU one of the machine's CPUs, as soon as QEMU tells which threads they are. The process as a
// whole is kept to these CPUs from its start.
func (m *Machine) pin() {
	defer close(m.pinned)
	if m.config.vcpus() < 2 || len(m.config.CPUs) < 2 {
		return
	}
	// Ends with the monitor at the latest.
	m.pinErr = m.pinEach(context.Background())
}

func (m *Machine) pinEach(ctx context.Context) error {
	var vcpus []struct {
		Index  int `json:"cpu-index"`
		Thread int `json:"thread-id"`
	}
	if err := m.monitor.do(ctx, "query-cpus-fast", nil, &vcpus); err != nil {
		return err
	}
	for _, v := range vcpus {
		cpu := m.config.CPUs[v.Index%len(m.config.CPUs)]
		var set unix.CPUSet
		set.Set(cpu)
		if err := unix.SchedSetaffinity(v.Thread, &set); err != nil {
			return fmt.Errorf("pinning vCPU %d to CPU %d: %w", v.Index, cpu, err)
		}
	}
	return nil
}

// Pinned waits until the vCPUs are on their CPUs.
func (m *Machine) Pinned(ctx context.Context) error {
	select {
	case <-m.pinned:
		return m.pinErr
	case <-ctx.Done():
		return ctx.Err()
	}
}
