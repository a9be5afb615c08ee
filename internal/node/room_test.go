package node

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// counted is what a machine shows beside plain's files when somebody counts.
func counted(more map[string]string) map[string]string {
	files := map[string]string{
		"proc/loadavg":        "4.60 4.91 2.75 3/358 4711\n",
		"proc/sys/fs/file-nr": "2874\t0\t2465610\n",
		"proc/self/fd/0":      "", "proc/self/fd/1": "", "proc/self/fd/5": "",
	}
	maps.Copy(files, more)
	return files
}

func bound(t *testing.T, bounds []Bound, by string) Bound {
	t.Helper()
	for _, b := range bounds {
		if b.By == by {
			return b
		}
	}
	t.Fatalf("no bound by %q in %+v", by, bounds)
	return Bound{}
}

func TestRoomMemory(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	machine := Bound{By: "this machine's memory", Limit: 8 * gib, Used: 4 * gib}
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []Bound // without Raise
	}{
		{"none", nil, []Bound{machine}},
		{"version 2", map[string]string{
			"proc/self/cgroup":                                  "0::/user.slice/session-1\n",
			"proc/self/mountinfo":                               v2Mounts,
			"sys/fs/cgroup/user.slice/memory.max":               "2147483648\n",
			"sys/fs/cgroup/user.slice/memory.current":           "1073741824\n",
			"sys/fs/cgroup/user.slice/memory.stat":              "anon 5\ninactive_file 536870912\n",
			"sys/fs/cgroup/user.slice/session-1/memory.max":     "max\n",
			"sys/fs/cgroup/user.slice/session-1/memory.high":    "1073741824\n",
			"sys/fs/cgroup/user.slice/session-1/memory.stat":    "inactive_file 0\n",
			"sys/fs/cgroup/user.slice/session-1/memory.current": "1048576\n",
		}, []Bound{machine,
			{By: "memory cgroup /user.slice/session-1 (memory.high)", Limit: gib, Used: mib},
			{By: "memory cgroup /user.slice", Limit: 2 * gib, Used: gib / 2}}},
		{"version 1, no limit but one", map[string]string{
			"proc/self/cgroup":                                       "4:memory:/slurm/job_7\n",
			"proc/self/mountinfo":                                    v1Mounts,
			"sys/fs/cgroup/memory/memory.limit_in_bytes":             "9223372036854771712\n",
			"sys/fs/cgroup/memory/slurm/memory.limit_in_bytes":       "9223372036854771712\n",
			"sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes": "1073741824\n",
			"sys/fs/cgroup/memory/slurm/job_7/memory.usage_in_bytes": "1073741824\n",
			"sys/fs/cgroup/memory/slurm/job_7/memory.stat":           "cache 7\ntotal_inactive_file 1048576\ntotal_active_file 3145728\ntotal_mapped_file 1048576\n",
		}, []Bound{machine, {By: "memory cgroup /slurm/job_7", Limit: gib, Used: gib - 3*mib}}},
		{"more cache than use", map[string]string{
			"proc/self/cgroup":                             "4:memory:/a\n",
			"proc/self/mountinfo":                          v1Mounts,
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "1073741824\n",
			"sys/fs/cgroup/memory/a/memory.usage_in_bytes": "1048576\n",
			"sys/fs/cgroup/memory/a/memory.stat":           "total_inactive_file 2097152\n",
		}, []Bound{machine, {By: "memory cgroup /a", Limit: gib}}},
		{"a container's own part", map[string]string{
			"proc/self/cgroup":                           "4:memory:/docker/abc\n",
			"proc/self/mountinfo":                        "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
		}, []Bound{machine, {By: "memory cgroup /", Limit: gib}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(t, counted(c.files))
			p, err := h.Pulse()
			if err != nil {
				t.Fatal(err)
			}
			got := slices.Clone(p.Memory)
			for i := range got {
				got[i].Raise = ""
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			if room := h.RoomFor(""); !slices.Equal(room.Memory, p.Memory) || len(room.Unknown) > 0 {
				t.Errorf("the room's memory is %+v, unknown %q", room.Memory, room.Unknown)
			}
		})
	}
}

func TestRoomTasks(t *testing.T) {
	files := counted(map[string]string{
		"proc/self/cgroup":                     "9:pids:/job\n0::/a/b\n",
		"proc/self/mountinfo":                  v1Mounts + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
		"sys/fs/cgroup/pids/job/pids.max":      "64\n",
		"sys/fs/cgroup/pids/job/pids.current":  "70\n",
		"sys/fs/cgroup/unified/a/pids.max":     "5000\n",
		"sys/fs/cgroup/unified/a/pids.current": "44\n",
		"sys/fs/cgroup/unified/a/b/pids.max":   "max\n",
		"proc/10/status":                       "Name:\ta\nUid:\t1000\t1000\t1000\t1000\nThreads:\t3\n",
		"proc/11/status":                       "Name:\tb\nUid:\t0\t1000\t1000\t1000\nThreads:\t5\n",
		"proc/12/status":                       "Name:\tc\nUid:\t1000\t0\t0\t0\nThreads:\t4\n",
		"proc/13/comm":                         "has ended\n",
	})
	h := host(t, files)
	room := h.RoomFor("")
	if b := bound(t, room.Tasks, "kernel.pid_max"); b.Limit != 4194304 || b.Used != 358 {
		t.Errorf("pid_max: %+v", b)
	}
	if b := bound(t, room.Tasks, "kernel.threads-max"); b.Limit != 192000 || b.Used != 358 {
		t.Errorf("threads-max: %+v", b)
	}
	if b := bound(t, room.Tasks, "pids cgroup /job"); b.Free() != 0 || b.Limit != 64 {
		t.Errorf("the group of version 1: %+v", b)
	}
	if b := bound(t, room.Tasks, "pids cgroup /a"); b.Free() != 4956 {
		t.Errorf("the group of version 2: %+v", b)
	}
	if b := bound(t, room.Descriptors, "RLIMIT_NOFILE"); b.Used != 3 {
		t.Errorf("descriptors: %+v", b)
	}
	if b := bound(t, room.Files, "fs.file-max"); b.Limit != 2465610 || b.Used != 2874 {
		t.Errorf("open files: %+v", b)
	}
	if n, err := h.threadsOf(1000); n != 7 || err != nil {
		t.Errorf("%d threads of user 1000, %v", n, err)
	}
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &r); err != nil {
		t.Fatal(err)
	}
	if r.Cur < threadsBeyond {
		if b := bound(t, room.Tasks, "RLIMIT_NPROC of user 1000"); b.Used != 7 || b.Limit != int64(r.Cur) {
			t.Errorf("the user's: %+v", b)
		}
	}
	o, err := h.LookOutside()
	if want := (Outside{PIDMax: 4194304, Threads: 7}); o != want || err != nil {
		t.Errorf("to those inside is told %+v, %v; want %+v", o, err, want)
	}
	h.Outside = Outside{PIDMax: 32768, Threads: 100}
	room = h.RoomFor("")
	if b := bound(t, room.Tasks, "kernel.pid_max"); b.Limit != 32768 {
		t.Errorf("the namespace's own pid_max counts: %+v", b)
	}
	if r.Cur < threadsBeyond {
		if b := bound(t, room.Tasks, "RLIMIT_NPROC of user 1000"); b.Used != 107 {
			t.Errorf("the user's, outside too: %+v", b)
		}
	}
	h.UID = 0
	room = h.RoomFor("")
	if slices.ContainsFunc(room.Tasks, func(b Bound) bool { return strings.HasPrefix(b.By, "RLIMIT") }) {
		t.Errorf("root is held to RLIMIT_NPROC: %+v", room.Tasks)
	}
}

func TestRoomUnknown(t *testing.T) {
	h := Host{Proc: t.TempDir(), Sys: t.TempDir(), UID: 1000}
	room := h.RoomFor(t.TempDir())
	if len(room.Unknown) < 4 || len(room.Memory)+len(room.Tasks)+len(room.Files) > 0 {
		t.Errorf("nothing can be read, and yet: %+v", room)
	}
	if len(room.Disk) != 1 || room.Disk[0].Limit <= 0 {
		t.Errorf("the scratch folder can be: %+v", room.Disk)
	}
	if _, err := h.Pulse(); err == nil {
		t.Error("no memory is an error")
	}
}

func TestPressure(t *testing.T) {
	h := host(t, map[string]string{
		"proc/self/cgroup":                "0::/a\n",
		"proc/self/mountinfo":             v2Mounts,
		"proc/pressure/memory":            "some avg10=9.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=1.50 avg60=0.00 avg300=0.00 total=0\n",
		"sys/fs/cgroup/a/memory.pressure": "some avg10=50.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=33.10 avg60=0.00 avg300=0.00 total=0\n",
	})
	if p, err := h.Pulse(); err != nil || p.Pressure != 33.1 {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestFootprint(t *testing.T) {
	h := host(t, map[string]string{
		"proc/7/smaps_rollup": "00400000-7ffd rollup\nRss:    900 kB\nPss:    512 kB\nPss_Dirty:  1 kB\n",
		"proc/7/status":       "VmPTE:\t      88 kB\n",
	})
	if n, err := h.Footprint(7); n != 600<<10 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := h.Footprint(8); err == nil {
		t.Error("a process that is not there shows its memory")
	}
	if n, err := This().Footprint(os.Getpid()); n < 1<<20 || err != nil {
		t.Errorf("this process takes %d, %v", n, err)
	}
}

func TestTreeBelow(t *testing.T) {
	status := func(parent, threads, anon, tables string) string {
		return "Name:\tx\nPPid:\t" + parent + "\nVmPTE:\t" + tables + " kB\nRssAnon:\t" + anon + " kB\nThreads:\t" + threads + "\n"
	}
	h := host(t, map[string]string{
		"proc/1/status":  status("0", "1", "9", "9"),
		"proc/10/status": status("1", "5", "100", "10"), // the root itself
		"proc/11/status": status("10", "1", "20", "4"),
		"proc/12/status": status("11", "3", "30", "6"),
		"proc/13/status": status("1", "7", "1000", "9"),
		"proc/14/status": "Name:\tkernel thread\nPPid:\t2\nThreads:\t1\n", // its parent is hidden
	})
	if got, err := h.TreeBelow(10); err != nil || got != (Tree{Memory: 60 << 10, Tasks: 4, Processes: 2}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAllocation(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want int64
	}{
		{nil, 0},
		{map[string]string{"SLURM_MEM_PER_NODE": "2048"}, 2 << 30},
		{map[string]string{"SLURM_MEM_PER_NODE": "0"}, 0},
		{map[string]string{"SLURM_MEM_PER_CPU": "512", "SLURM_CPUS_ON_NODE": "4"}, 2 << 30},
		{map[string]string{"SLURM_MEM_PER_CPU": "512"}, 0},
		{map[string]string{"SLURM_MEM_PER_NODE": "lots"}, 0},
	} {
		b, ok := Allocation(func(name string) string { return c.env[name] })
		if b.Limit != c.want || ok != (c.want > 0) {
			t.Errorf("%v: %+v, %v", c.env, b, ok)
		}
	}
}

// TestRoomInACgroup makes a memory group of version 1 or 2 and looks at it from a
// process inside. Only root can, where that version is mounted with its controller.
func TestRoomInACgroup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a memory cgroup")
	}
	g, err := This().groups()
	if err != nil {
		t.Fatal(err)
	}
	name := "muster-test-" + strconv.Itoa(os.Getpid())
	const limit = 512 << 20
	dir, file := "", ""
	switch {
	case g.v1["memory"].top != "":
		dir, file = filepath.Join(g.v1["memory"].dir, name), "memory.limit_in_bytes"
	case g.v2.top != "" && !g.v2.out:
		dir, file = filepath.Join(g.v2.top, name), "memory.max"
	default:
		t.Skip("there is no memory cgroup here")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // processes in it have ended by now
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, file), []byte(strconv.Itoa(limit)), 0o644); err != nil {
		t.Fatal(err)
	}
	room := inGroup(t, dir)
	var b Bound
	for _, m := range room.Memory {
		if strings.HasSuffix(m.By, "/"+name) {
			b = m
		}
	}
	if b.Limit != limit || b.Used <= 0 || b.Used >= limit {
		t.Errorf("in a group of %d bytes: %+v", limit, room.Memory)
	}
}

// TestMain lets the test binary stand in for a process in a control group.
func TestMain(m *testing.M) {
	if os.Getenv("MUSTER_TEST_ROOM") == "" {
		os.Exit(m.Run())
	}
	if err := json.NewEncoder(os.Stdout).Encode(This().RoomFor("")); err != nil {
		panic(err)
	}
}

// inGroup reads the room from a process in the group dir.
func inGroup(t *testing.T, dir string) (room Room) {
	t.Helper()
	const enter = `echo $$ >"$1/cgroup.procs" && exec "$2"`
	cmd := exec.Command("sh", "-c", enter, "sh", dir, os.Args[0])
	cmd.Env = append(os.Environ(), "MUSTER_TEST_ROOM=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &room); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return room
}
