package plan

// GroupCPUs returns the CPUs of lane (from 0) where perLane of the lanes share those that one would have: the
// first so many are a group, and so on. perLane 0 or 1: as LaneCPUs.
func GroupCPUs(cpus []int, lane, lanes, perLane, threads int) []int {
	k := max(perLane, 1)
	return LaneCPUs(cpus, lane/k, (lanes+k-1)/k, threads)
}

// LaneCPUs returns the CPUs of lane (from 0) of so many lanes on a node whose
// usable CPUs are given: the next threads of them when threads were asked for
// (above 0), else an even, contiguous part. Lanes never share a CPU; where there
// are too few for that the answer is nil, and lanes are best left unpinned.
func LaneCPUs(cpus []int, lane, lanes, threads int) []int {
	if lane < 0 || lane >= lanes || lanes > len(cpus) {
		return nil
	}
	first, end := blockPart(len(cpus), lanes, lane)
	if threads > 0 {
		if threads > len(cpus)/lanes {
			return nil
		}
		first, end = lane*threads, (lane+1)*threads
	}
	return append([]int(nil), cpus[first:end]...)
}
