package plan

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/job"
)

func TestEnv(t *testing.T) {
	triple := job.Spec{NP: job.NP{Triple: true, Nodes: 2, PerNode: 3, Threads: 2}}
	mimo := triple
	mimo.AppType = job.MIMO
	left := job.NewIndexSet(12)
	tests := []struct {
		name       string
		r          Request
		element    int
		call, lane int
		want       string
	}{
		{"siso triple: the lane is the process", Request{Spec: triple}, 1, 0, 2,
			"LLMR_NODE_ID=1 LLMR_TASKS_PER_NODE=3 LLMR_RANK=5 LLMR_RANK_MIN=3 LLMR_RANK_MAX=5 LLMRID=2 LLMR_LOG_DIR=/l " +
				"OMP_NUM_THREADS=2 MKL_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2"},
		{"mimo triple: the call is the process", Request{Spec: mimo}, 1, 1, 0,
			"LLMR_NODE_ID=1 LLMR_TASKS_PER_NODE=3 LLMR_RANK=4 LLMR_RANK_MIN=3 LLMR_RANK_MAX=5 LLMRID=1 LLMR_LOG_DIR=/l " +
				"OMP_NUM_THREADS=2 MKL_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2"},
		{"mimo resumed: the rank stays", Request{Spec: mimo, Left: &left}, 0, 0, 0,
			"LLMR_NODE_ID=1 LLMR_TASKS_PER_NODE=3 LLMR_RANK=5 LLMR_RANK_MIN=3 LLMR_RANK_MAX=5 LLMRID=2 LLMR_LOG_DIR=/l " +
				"OMP_NUM_THREADS=2 MKL_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2"},
		{"nothing asked for", Request{Spec: job.Spec{Lanes: 4}}, 0, 9, 3,
			"LLMR_NODE_ID=0 LLMR_TASKS_PER_NODE=4 LLMR_RANK=3 LLMR_RANK_MIN=0 LLMR_RANK_MAX=3 LLMRID=3 LLMR_LOG_DIR=/l"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.r.Tasks, tt.r.Nodes, tt.r.CPUs = 12, 2, 8
			e := mustMake(t, tt.r).Elements[tt.element]
			if got := strings.Join(e.Process(tt.call, tt.lane, "/l").Env(), " "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// Ranks of processes that may run side by side differ, and stay on their node.
func TestRanks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := mustMake(t, anyRequest(t))
		seen := map[int]bool{}
		for _, e := range p.Elements {
			n := e.Lanes
			if e.Ranks != nil {
				n = len(e.Calls)
			}
			for i := range n {
				pr := e.Process(i, i, "")
				if seen[pr.Rank] || pr.Rank < pr.RankMin || pr.Rank > pr.RankMax || pr.Local != pr.Rank-pr.RankMin {
					t.Fatalf("%+v of %+v", pr, e)
				}
				seen[pr.Rank] = true
			}
		}
	})
}

func TestLaneCPUs(t *testing.T) {
	four := []int{0, 2, 4, 6}
	tests := []struct {
		cpus                 []int
		lane, lanes, threads int
		want                 []int
	}{
		{four, 0, 4, 0, []int{0}},
		{four, 3, 4, 0, []int{6}},
		{four, 0, 3, 0, []int{0, 2}},
		{four, 2, 3, 0, []int{6}},
		{four, 0, 1, 0, four},
		{four, 1, 2, 1, []int{2}},
		{four, 1, 2, 2, []int{4, 6}},
		{four, 0, 2, 3, nil},
		{four, 0, 5, 0, nil},
		{four, 2, 2, 1, nil},
		{four, -1, 2, 1, nil},
		{nil, 0, 1, 0, nil},
	}
	for _, tt := range tests {
		if got := LaneCPUs(tt.cpus, tt.lane, tt.lanes, tt.threads); !slices.Equal(got, tt.want) {
			t.Errorf("LaneCPUs(%v, %d, %d, %d) = %v, want %v", tt.cpus, tt.lane, tt.lanes, tt.threads, got, tt.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		cpus := rapid.SliceOfNDistinct(rapid.IntRange(0, 99), 0, 20, rapid.ID[int]).Draw(t, "cpus")
		lanes, threads := rapid.IntRange(1, 24).Draw(t, "lanes"), rapid.IntRange(0, 5).Draw(t, "threads")
		owner := map[int]int{}
		for lane := range lanes {
			got := LaneCPUs(cpus, lane, lanes, threads)
			if len(got) == 0 && lanes*max(threads, 1) <= len(cpus) || len(got) > 0 && threads > 0 && len(got) != threads {
				t.Fatalf("lane %d of %d: %v", lane, lanes, got)
			}
			for _, c := range got {
				if other, ok := owner[c]; ok || !slices.Contains(cpus, c) {
					t.Fatalf("lanes %d and %d: CPU %d", other, lane, c)
				}
				owner[c] = lane
			}
		}
	})
}

func TestListLine(t *testing.T) {
	tests := []struct {
		in   []string
		out  string
		want string
	}{
		{[]string{"/in/a"}, "/out/a.out", "/in/a /out/a.out"},
		{[]string{`I:\1\a.in`}, `O:\1\$a"b`, `I:\1\a.in 'O:\1\$a"b'`},
		{[]string{"x", "a b"}, "it's\n", `x 'a b' 'it'\''s` + "\n'"},
		{[]string{""}, "#o", "'' #o"},
	}
	for _, tt := range tests {
		if got := ListLine(tt.in, tt.out); got != tt.want {
			t.Errorf("ListLine(%q, %q) = %s, want %s", tt.in, tt.out, got, tt.want)
		}
	}
}

// The shell's rules read back what was quoted; backslashes apart, which stand as they are.
func TestListLineReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[ -\[\]-~é\n\t]{0,6}`), 2, 4).Draw(t, "words")
		line := ListLine(words[:len(words)-1], words[len(words)-1])
		got, err := job.SplitWords(line)
		if err != nil || !slices.Equal(got, words) {
			t.Fatalf("%q became %s became %q (%v)", words, line, got, err)
		}
	})
}
