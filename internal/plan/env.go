package plan

import "strconv"

// Process is one process of a run as its environment describes it: in SISO what
// a lane runs, in MIMO what a call starts.
type Process struct {
	Node    int    // number of its node in the run, from 0
	PerNode int    // processes on that node
	Rank    int    // number of the process in the run, from 0
	RankMin int    // lowest rank on its node
	RankMax int    // highest rank on its node
	Local   int    // its number on its node, from 0
	LogDir  string // where the run's logs are
	Threads int    // CPU threads it may use; 0: not asked for
}

// Process describes the process that runs call number call (from 0) in lane
// (from 0) of the element.
func (e Element) Process(call, lane int, logDir string) Process {
	rank := e.FirstRank + lane
	if e.Ranks != nil {
		rank = e.Ranks[call]
	}
	return Process{
		Node: e.Node, PerNode: e.PerNode,
		Rank: rank, RankMin: e.FirstRank, RankMax: e.FirstRank + e.PerNode - 1, Local: rank - e.FirstRank,
		LogDir: logDir, Threads: e.Threads,
	}
}

// Env returns the variables, NAME=VALUE, that LLMapReduce sets for a process,
// and, when a number of threads was asked for, those by which OpenMP, MKL and
// OpenBLAS learn of it.
func (p Process) Env() []string {
	env := []string{
		"LLMR_NODE_ID=" + strconv.Itoa(p.Node),
		"LLMR_TASKS_PER_NODE=" + strconv.Itoa(p.PerNode),
		"LLMR_RANK=" + strconv.Itoa(p.Rank),
		"LLMR_RANK_MIN=" + strconv.Itoa(p.RankMin),
		"LLMR_RANK_MAX=" + strconv.Itoa(p.RankMax),
		"LLMRID=" + strconv.Itoa(p.Local),
		"LLMR_LOG_DIR=" + p.LogDir,
	}
	if p.Threads > 0 {
		env = append(env, ThreadsEnv(p.Threads)...)
	}
	return env
}

// ThreadsEnv returns the variables by which OpenMP, MKL and OpenBLAS learn how many
// threads a process may use.
func ThreadsEnv(threads int) []string {
	n := strconv.Itoa(threads)
	return []string{"OMP_NUM_THREADS=" + n, "MKL_NUM_THREADS=" + n, "OPENBLAS_NUM_THREADS=" + n}
}
