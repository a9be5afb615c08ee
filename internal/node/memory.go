package node

import (
	"fmt"
	"path/filepath"
)

// Memory is in bytes.
type Memory struct {
	Total     int64  `json:"total"`     // the most that this process and its kin can have
	Available int64  `json:"available"` // what can be had now without swapping
	Swap      int64  `json:"swap_free"`
	Limit     string `json:"limit,omitempty"` // the control group that Total comes from, "" for the machine itself
}

// MemoryNow says how much memory this process can have.
func MemoryNow() (Memory, error) {
	h := This()
	g, err := h.groups()
	if err != nil { // without control groups the machine is the limit
		g = groups{}
	}
	return h.memory(g)
}

func (h Host) memory(g groups) (Memory, error) {
	const info = "/meminfo"
	total, ok := field(h.Proc+info, "MemTotal")
	if !ok {
		return Memory{}, fmt.Errorf("%s does not say", h.Proc+info)
	}
	available, ok := field(h.Proc+info, "MemAvailable")
	if !ok { // before Linux 3.14
		available, _ = field(h.Proc+info, "MemFree")
	}
	swap, _ := field(h.Proc+info, "SwapFree")
	m := Memory{Total: total * 1024, Available: available * 1024, Swap: swap * 1024}
	tighten := func(dir string, limit, used int64) {
		// Files that nobody uses at the moment count as used, and are given back
		// when memory is short; the callers have taken them off.
		if limit < m.Total {
			m.Total, m.Limit = limit, dir
		}
		m.Available = min(m.Available, max(0, limit-used))
	}
	for _, dir := range g.v2.up() {
		if limit, ok := number(dir, "memory.max"); ok {
			used, _ := number(dir, "memory.current")
			idle, _ := field(filepath.Join(dir, "memory.stat"), "inactive_file")
			tighten(dir, limit, used-idle)
		}
	}
	for _, dir := range g.v1["memory"].up() {
		if limit, ok := number(dir, "memory.limit_in_bytes"); ok && limit > 0 { // "no limit" is a number beyond all memory
			used, _ := number(dir, "memory.usage_in_bytes")
			idle, _ := field(filepath.Join(dir, "memory.stat"), "total_inactive_file")
			tighten(dir, limit, used-idle)
		}
	}
	return m, nil
}
