package engine

import "muster/internal/job"

// Overall is the state of an array whose elements stand like this: Pending
// until the first has run, ended when all have, and then the worst of the ends.
func Overall(elements []Element) job.State {
	var begun, open bool
	worst := job.Completed
	for _, e := range elements {
		if e.State != job.Pending {
			begun = true
		}
		if !e.State.Ended() {
			open = true
			continue
		}
		if rank(e.State) > rank(worst) {
			worst = e.State
		}
	}
	switch {
	case len(elements) == 0:
		return job.Gone
	case !begun:
		return job.Pending
	case open:
		return job.Running
	}
	return worst
}

// rank orders ends by how much they say about the array as a whole: a lost node
// more than a request to cancel, that more than a program's failure.
func rank(s job.State) int {
	switch s {
	case job.Completed:
		return 0
	case job.Failed:
		return 1
	case job.BootFail:
		return 2
	case job.OutOfMemory:
		return 3
	case job.Timeout:
		return 4
	case job.Cancelled:
		return 5
	case job.NodeFail:
		return 6
	case job.Lost:
		return 7
	}
	return 8
}
