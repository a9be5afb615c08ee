package plan

import "muster/internal/job"

// deal gives the tasks 1…tasks to n shares whose sizes differ by one at most,
// the larger ones first: in contiguous blocks, or one after the other in turn.
// Within a share tasks ascend.
func deal(tasks, n int, d job.Distribution) [][]int {
	all := make([]int, tasks)
	shares := make([][]int, n)
	at := 0
	for i := range shares {
		first, end := blockPart(tasks, n, i)
		size := end - first
		share := all[at : at+size : at+size]
		at += size
		for k := range share {
			if d == job.Cyclic {
				share[k] = 1 + i + k*n
			} else {
				share[k] = 1 + first + k
			}
		}
		shares[i] = share
	}
	return shares
}

// blockPart returns the i-th of n contiguous parts of 0…total−1, as first up to,
// without, end. Leftovers go to the lowest-numbered parts.
func blockPart(total, n, i int) (first, end int) {
	size, left := total/n, total%n
	first = i*size + min(i, left)
	end = first + size
	if i < left {
		end++
	}
	return first, end
}

// inTurn lists the tasks of shares as processes working side by side would take
// them: the first of each, the second of each, and so on.
func inTurn(shares [][]int) []int {
	var queue []int
	for k := 0; ; k++ {
		before := len(queue)
		for _, s := range shares {
			if k < len(s) {
				queue = append(queue, s[k])
			}
		}
		if len(queue) == before {
			return queue
		}
	}
}

// singles makes a call of each task.
func singles(tasks []int) [][]int {
	calls := make([][]int, len(tasks))
	for i := range tasks {
		calls[i] = tasks[i : i+1 : i+1]
	}
	return calls
}
