package rundir

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"muster/internal/job"
)

// newPoolRun makes a run with a pool of chunks of one task each.
func newPoolRun(t *testing.T, chunks int) *Run {
	t.Helper()
	r, err := newStore(t).Create(job.Spec{Distribution: job.Dynamic}, someTasks(chunks))
	if err != nil {
		t.Fatal(err)
	}
	p := Pool{Generation: 1, Shapes: []Shape{{Lanes: 1}, {Node: 1, Lanes: 1}}}
	for i := range chunks {
		p.Calls, p.Chunks = append(p.Calls, []int{i + 1}), append(p.Chunks, 1)
	}
	if err := r.WritePool(p); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPoolComesBack(t *testing.T) {
	r, err := newStore(t).Create(job.Spec{Distribution: job.Dynamic}, someTasks(9))
	if err != nil {
		t.Fatal(err)
	}
	calls := [][]int{{1}, {2}, {3}, {5, 4}, {6}}
	p := Pool{Generation: 1, Calls: calls, Chunks: []int{2, 2, 1}, Shapes: []Shape{{Lanes: 2, PerNode: 2}, {Node: 1, Lanes: 2, PerNode: 2, FirstRank: 2}}}
	if err := r.WritePool(p); err != nil {
		t.Fatal(err)
	}
	want := Share{Generation: 1, Element: 2, Calls: calls, Chunks: p.Chunks, Elements: 2, Shape: p.Shapes[1]}
	if got, err := r.ReadShare(1, 2); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v; %v", got, want, err)
	}
	if err := r.WritePool(p); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a pool was written twice: %v", err)
	}
	// A generation with one element shares with nobody.
	own := Share{Generation: 2, Element: 1, Calls: [][]int{{7}}, Shape: Shape{Lanes: 1}}
	if err := r.WriteShare(own); err != nil {
		t.Fatal(err)
	}
	if got, err := r.ReadShare(2, 1); err != nil || !reflect.DeepEqual(got, own) {
		t.Errorf("%v, want %v; %v", got, own, err)
	}
}

func TestPoolDamaged(t *testing.T) {
	r := newPoolRun(t, 2)
	for _, text := range []string{
		"{", `{"generation":1,"elements":[],"chunks":[2],"parts":[{"each":"1-2"}]}`,
		`{"generation":1,"elements":[{"lanes":1}],"chunks":[1],"parts":[{"each":"1-2"}]}`,
		`{"generation":1,"elements":[{"lanes":1}],"chunks":[2,1],"parts":[{"each":"1-2"}]}`,
		`{"generation":1,"elements":[{"lanes":1}],"chunks":[3,-1],"parts":[{"each":"1-2"}]}`,
		`{"generation":1,"elements":[{"lanes":1}],"chunks":[3],"parts":[{"each":"1-3"}]}`,
	} {
		if err := os.WriteFile(r.poolPath(1), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var damage *DamageError
		if s, err := r.ReadShare(1, 1); !errors.As(err, &damage) {
			t.Errorf("%s gives %v, %v", text, s, err)
		}
	}
}

// Each step of a claim fails in each way; whatever happens, a chunk has one owner at
// most, Take says so or tells an error, and nothing but the claim is left.
func TestClaimFaults(t *testing.T) {
	full := fmt.Errorf("write: %w", unix.ENOSPC)
	refused := fmt.Errorf("link: %w", unix.EPERM)
	tests := []struct {
		name   string
		faults map[string]error
		mine   bool
		fails  error
		taken  bool // somebody else has it already
		owned  bool // the claim names us afterwards
	}{
		{name: "free", mine: true, owned: true},
		{name: "taken", taken: true},
		{name: "linked, and reported as a failure", faults: map[string]error{"linked": unix.EIO}, mine: true, owned: true},
		{name: "linked, and reported as there already", faults: map[string]error{"linked": unix.EEXIST}, mine: true, owned: true},
		{name: "linked, and reported as refused", faults: map[string]error{"linked": unix.EPERM}, mine: true, owned: true},
		{name: "the link fails", faults: map[string]error{"link": unix.EIO}, fails: unix.EIO},
		{name: "linked, and it cannot be seen whether", faults: map[string]error{"stat": unix.ESTALE}, fails: unix.ESTALE, owned: true},
		{name: "taken, and it cannot be seen", faults: map[string]error{"stat": unix.ESTALE}, taken: true, fails: unix.ESTALE},
		{name: "linked, and not durable", faults: map[string]error{"sync": unix.EIO}, fails: unix.EIO, owned: true},
		{name: "no space", faults: map[string]error{"write": full}, fails: unix.ENOSPC},
		{name: "no quota", faults: map[string]error{"write": unix.EDQUOT}, fails: unix.EDQUOT},
		{name: "links are refused", faults: map[string]error{"link": refused}, mine: true, owned: true},
		{name: "links are unknown", faults: map[string]error{"link": unix.ENOSYS}, mine: true, owned: true},
		{name: "links are refused, taken", faults: map[string]error{"link": refused}, taken: true},
		{name: "links are refused, no space", faults: map[string]error{"link": refused, "fill": full}, fails: unix.ENOSPC},
		{name: "links are refused, and so is this", faults: map[string]error{"link": refused, "exclusive": unix.EROFS}, fails: unix.EROFS},
	}
	me, other := AgentID{1, 1, 3}, AgentID{1, 2, 1}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newPoolRun(t, 1)
			if tt.taken {
				if mine, err := r.NewClaims(other, ClaimOptions{}).Take(1, 1); !mine || err != nil {
					t.Fatal(mine, err)
				}
			}
			c := r.NewClaims(me, ClaimOptions{Fault: func(step string) error { return tt.faults[step] }})
			mine, err := c.Take(1, 1)
			if mine != tt.mine || !errors.Is(err, tt.fails) || (err == nil) != (tt.fails == nil) {
				t.Errorf("mine %v, %v", mine, err)
			}
			owner, err := c.Owner(1, 1)
			switch {
			case tt.taken && (owner != other || err != nil):
				t.Errorf("its owner is %v now, %v", owner, err)
			case tt.owned && (owner != me || err != nil):
				t.Errorf("its owner is %v, %v", owner, err)
			case !tt.taken && !tt.owned && !errors.Is(err, fs.ErrNotExist):
				t.Errorf("its owner is %v, %v; it should be free", owner, err)
			}
			names, err := readNames(r.claimsPath(1))
			if err != nil || slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, tempPrefix) }) {
				t.Errorf("left: %v, %v", names, err)
			}
			// Nobody gets it beside its owner.
			if mine, err := r.NewClaims(AgentID{1, 3, 1}, ClaimOptions{}).Take(1, 1); mine == (tt.taken || tt.owned) || err != nil {
				t.Errorf("a third one: mine %v, %v", mine, err)
			}
		})
	}
}

func TestClaimsAreListed(t *testing.T) {
	r := newPoolRun(t, 4)
	c := r.NewClaims(AgentID{1, 2, 5}, ClaimOptions{})
	for _, k := range [][2]int{{1, 1}, {3, 1}, {3, 2}} {
		if mine, err := c.Take(k[0], k[1]); !mine || err != nil {
			t.Fatal(mine, err)
		}
	}
	for _, name := range []string{tempPrefix + "x", "claim.4", "claim.04.1", "claim.0.1", "claim.4.1.1", "other.4.1"} {
		if err := os.WriteFile(filepath.Join(r.claimsPath(1), name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := c.List(); err != nil || !reflect.DeepEqual(got, map[int]int{1: 1, 3: 2}) {
		t.Errorf("%v, %v", got, err)
	}
	if owner, err := c.Owner(3, 2); owner != (AgentID{1, 2, 5}) || err != nil {
		t.Errorf("%v, %v", owner, err)
	}
	// One that is not written yet has no owner; one that is damaged says so.
	for text, want := range map[string]func(error) bool{
		"":  func(err error) bool { return errors.Is(err, fs.ErrNotExist) },
		"{": func(err error) bool { var d *DamageError; return errors.As(err, &d) },
		`{"chunk":3,"attempt":1,"generation":1,"element":2,"incarnation":1}`: func(err error) bool { var d *DamageError; return errors.As(err, &d) },
	} {
		if err := os.WriteFile(r.claimPath(1, 4, 1), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Owner(4, 1); !want(err) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

const (
	racers     = 4   // processes
	racersEach = 500 // claimers in each
	raceChunks = 3
)

// 2,000 claimers in four processes race for the same chunks, with links and
// without: each chunk has one winner, whom the claim names.
func TestClaimRace(t *testing.T) {
	for _, how := range []string{"link", "exclusive"} {
		t.Run(how, func(t *testing.T) {
			r := newPoolRun(t, raceChunks)
			var wg sync.WaitGroup
			outs := make([][]byte, racers)
			for i := range racers {
				wg.Go(func() {
					cmd := exec.Command(os.Args[0])
					cmd.Env = append(os.Environ(), "RUNDIR_TEST_CHILD=claims", "RUNDIR_TEST_DIR="+r.Dir,
						"RUNDIR_TEST_ELEMENT="+strconv.Itoa(i+1), "RUNDIR_TEST_HOW="+how)
					cmd.Stderr = os.Stderr
					var err error
					if outs[i], err = cmd.Output(); err != nil {
						t.Errorf("racer %d: %v", i, err)
					}
				})
			}
			wg.Wait()
			winners := map[int][]AgentID{}
			said := 0
			for _, out := range outs {
				lines := bufio.NewScanner(strings.NewReader(string(out)))
				for lines.Scan() {
					var chunk int
					var id AgentID
					if n, err := fmt.Sscanf(lines.Text(), "%d %d.%d.%d", &chunk, &id.Generation, &id.Element, &id.Incarnation); n == 4 && err == nil {
						winners[chunk] = append(winners[chunk], id)
					} else if lines.Text() == "lost" {
						said++
					}
				}
			}
			if said != racers*racersEach*raceChunks-raceChunks {
				t.Errorf("%d say that they have lost", said)
			}
			for chunk := 1; chunk <= raceChunks; chunk++ {
				owner, err := r.NewClaims(AgentID{1, 1, 1}, ClaimOptions{}).Owner(chunk, 1)
				if err != nil || len(winners[chunk]) != 1 || winners[chunk][0] != owner {
					t.Errorf("chunk %d: winners %v, owner %v, %v", chunk, winners[chunk], owner, err)
				}
			}
		})
	}
}

// childClaims is one of the processes that race.
func childClaims() int {
	element, err := strconv.Atoi(os.Getenv("RUNDIR_TEST_ELEMENT"))
	if err != nil {
		return 2
	}
	var opt ClaimOptions
	if os.Getenv("RUNDIR_TEST_HOW") == "exclusive" {
		opt.Fault = func(step string) error {
			if step == "link" {
				return unix.EPERM
			}
			return nil
		}
	}
	r := newRun(os.Getenv("RUNDIR_TEST_DIR"))
	start := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	code := 0
	for i := range racersEach {
		wg.Go(func() {
			id := AgentID{1, element, i + 1}
			c := r.NewClaims(id, opt)
			<-start
			for chunk := 1; chunk <= raceChunks; chunk++ {
				mine, err := c.Take(chunk, 1)
				mu.Lock()
				switch {
				case err != nil:
					fmt.Fprintln(os.Stderr, err)
					code = 1
				case mine:
					fmt.Println(chunk, id)
				default:
					fmt.Println("lost")
				}
				mu.Unlock()
			}
		})
	}
	close(start)
	wg.Wait()
	return code
}
