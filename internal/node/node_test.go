package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// plain is a machine of 8 GiB without control groups.
var plain = map[string]string{
	"proc/meminfo":                   "MemTotal:        8388608 kB\nMemFree:          100000 kB\nMemAvailable:    4194304 kB\nSwapFree:         1048576 kB\n",
	"proc/self/cgroup":               "",
	"proc/self/mountinfo":            "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n",
	"proc/self/status":               "Name:\tx\nCpus_allowed_list:\t0-2,1030\nSeccomp:\t0\n",
	"proc/self/ns/pid":               "",
	"proc/self/ns/user":              "",
	"proc/sys/kernel/osrelease":      "6.1.0-18-amd64\n",
	"proc/sys/kernel/random/boot_id": "b5a0\n",
	"proc/sys/kernel/pid_max":        "4194304\n",
	"proc/sys/kernel/threads-max":    "192000\n",
	"proc/sys/vm/max_map_count":      "65530\n",
	"proc/sys/fs/file-max":           "9223372036854775807\n",
}

// host makes a machine of plain's files and others, for an ordinary user.
func host(t *testing.T, files map[string]string) Host {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range plain {
		write(name, text)
	}
	for name, text := range files {
		write(name, text)
	}
	return Host{Proc: filepath.Join(dir, "proc"), Sys: filepath.Join(dir, "sys"), UID: 1000}
}

const (
	v2Mounts = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	v1Mounts = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
		"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
		"39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
)

func TestControlGroups(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		name    string
		files   map[string]string
		memory  Memory // without Limit
		limit   string // end of Memory.Limit
		quota   float64
		tasks   int64
		version string
		kill    bool
		why     string
	}{
		{"none", nil, Memory{8 * gib, 4 * gib, gib, ""}, "", 0, -1, "", false, "there is no cgroup v2 tree"},
		{"version 2, the group above is tighter", map[string]string{
			"proc/self/cgroup":                               "0::/user.slice/session-1\n",
			"proc/self/mountinfo":                            v2Mounts,
			"sys/fs/cgroup/user.slice/memory.max":            "2147483648\n",
			"sys/fs/cgroup/user.slice/memory.current":        "1073741824\n",
			"sys/fs/cgroup/user.slice/memory.stat":           "anon 5\ninactive_file 536870912\n",
			"sys/fs/cgroup/user.slice/session-1/memory.max":  "max\n",
			"sys/fs/cgroup/user.slice/session-1/cpu.max":     "150000 100000\n",
			"sys/fs/cgroup/user.slice/cpu.max":               "max 100000\n",
			"sys/fs/cgroup/user.slice/session-1/pids.max":    "max\n",
			"sys/fs/cgroup/user.slice/pids.max":              "1000\n",
			"sys/fs/cgroup/user.slice/pids.current":          "400\n",
			"sys/fs/cgroup/user.slice/session-1/cgroup.kill": "",
			"sys/fs/cgroup/cgroup.controllers":               "",
		}, Memory{2 * gib, 2*gib - gib/2, gib, ""}, "user.slice", 1.5, 600, "2", true, "cgroup.procs"},
		{"version 1, a job's group", map[string]string{
			"proc/self/cgroup":                                       "9:pids:/job\n4:memory:/slurm/job_7\n1:cpu,cpuacct:/slurm\n",
			"proc/self/mountinfo":                                    v1Mounts,
			"sys/fs/cgroup/memory/memory.limit_in_bytes":             "9223372036854771712\n",
			"sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes": "1073741824\n",
			"sys/fs/cgroup/memory/slurm/job_7/memory.usage_in_bytes": "1073741824\n",
			"sys/fs/cgroup/memory/slurm/job_7/memory.stat":           "total_inactive_file 0\n",
			"sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_quota_us":       "400000\n",
			"sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_period_us":      "100000\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":             "-1\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us":            "100000\n",
			"sys/fs/cgroup/pids/job/pids.max":                        "64\n",
			"sys/fs/cgroup/pids/job/pids.current":                    "70\n",
		}, Memory{gib, 0, gib, ""}, "slurm/job_7", 4, 0, "1", false, "there is no cgroup v2 tree"},
		{"a container that sees its own part only", map[string]string{
			"proc/self/cgroup":                           "4:memory:/docker/abc\n",
			"proc/self/mountinfo":                        "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
		}, Memory{gib, gib, gib, ""}, "cgroup/memory", 0, -1, "1", false, "there is no cgroup v2 tree"},
		{"a group outside of what is mounted", map[string]string{
			"proc/self/cgroup":         "0::/../../elsewhere\n",
			"proc/self/mountinfo":      v2Mounts,
			"sys/fs/cgroup/memory.max": "1073741824\n",
		}, Memory{gib, gib, gib, ""}, "cgroup", 0, -1, "2", false, "the group of this process is not visible here"},
		{"both versions", map[string]string{
			"proc/self/cgroup":                         "4:memory:/\n0::/\n",
			"proc/self/mountinfo":                      v1Mounts + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/unified/cgroup.controllers": "\n",
		}, Memory{8 * gib, 4 * gib, gib, ""}, "", 0, -1, "1+2", true, "cgroup.procs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := host(t, c.files).Describe(context.Background())
			if err != nil || len(n.Unknown) > 0 {
				t.Fatalf("%v, unknown: %q", err, n.Unknown)
			}
			if !strings.HasSuffix(n.Memory.Limit, c.limit) || (c.limit == "") != (n.Memory.Limit == "") {
				t.Errorf("memory is limited by %q, want %q", n.Memory.Limit, c.limit)
			}
			n.Memory.Limit = ""
			if n.Memory != c.memory {
				t.Errorf("memory %+v, want %+v", n.Memory, c.memory)
			}
			if n.CPUQuota != c.quota || n.Limits.Tasks != c.tasks {
				t.Errorf("quota %v, tasks %d; want %v, %d", n.CPUQuota, n.Limits.Tasks, c.quota, c.tasks)
			}
			g := n.Cgroup
			if g.Version != c.version || g.Kill != c.kill || g.Delegated || !strings.Contains(g.Why, c.why) {
				t.Errorf("cgroup %+v, want version %q, kill %v, not delegated for %q", g, c.version, c.kill, c.why)
			}
		})
	}
}

func TestDelegated(t *testing.T) {
	h := host(t, map[string]string{
		"proc/self/cgroup":                 "0::/me\n",
		"proc/self/mountinfo":              v2Mounts,
		"sys/fs/cgroup/me/cgroup.procs":    "1\n",
		"sys/fs/cgroup/me/cgroup.kill":     "",
		"sys/fs/cgroup/cgroup.controllers": "cpu memory\n", "sys/fs/cgroup/me/cgroup.controllers": "memory pids\n",
	})
	n, err := h.Describe(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := Cgroup{Version: "2", Path: h.Sys + "/fs/cgroup/me", Delegated: true, Kill: true, Controllers: []string{"memory", "pids"}}
	if !reflect.DeepEqual(n.Cgroup, want) {
		t.Errorf("cgroup %+v, want %+v", n.Cgroup, want)
	}
}

func TestNamespaces(t *testing.T) {
	denied := errors.New("clone: operation not permitted")
	for _, c := range []struct {
		name  string
		files map[string]string
		uid   int
		probe error
		tried bool
		want  Ability
	}{
		{"allowed", nil, 1000, nil, false, Ability{OK: true, Why: "the kernel's settings allow it"}},
		{"tried", nil, 1000, nil, true, Ability{OK: true, Tried: true}},
		{"tried in vain", nil, 1000, denied, true, Ability{Tried: true, Why: denied.Error()}},
		{"filtered", map[string]string{"proc/self/status": "Seccomp:\t2\n"}, 1000, nil, false,
			Ability{OK: true, Why: "the kernel's settings allow it; a filter of system calls is on and may forbid it"}},
		{"Debian's switch", map[string]string{"proc/sys/kernel/unprivileged_userns_clone": "0\n"}, 1000, nil, true, Ability{Why: "kernel.unprivileged_userns_clone is 0"}},
		{"Debian's switch, root", map[string]string{"proc/sys/kernel/unprivileged_userns_clone": "0\n"}, 0, nil, true, Ability{OK: true, Tried: true}},
		{"Ubuntu's switch", map[string]string{"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}, 1000, nil, false, Ability{Why: "kernel.apparmor_restrict_unprivileged_userns is 1"}},
		{"none allowed", map[string]string{"proc/sys/user/max_user_namespaces": "0\n"}, 1000, nil, false, Ability{Why: "user.max_user_namespaces is 0"}},
		{"no PID namespaces", map[string]string{"proc/sys/user/max_pid_namespaces": "0\n"}, 0, nil, false, Ability{Why: "user.max_pid_namespaces is 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(t, c.files)
			h.UID = c.uid
			if c.tried {
				h.Probe = func(context.Context) error { return c.probe }
			}
			if got := h.namespaces(context.Background()); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	h := host(t, nil)
	if err := os.Remove(h.Proc + "/self/ns/user"); err != nil {
		t.Fatal(err)
	}
	if got := h.namespaces(context.Background()); got.OK || got.Why != "the kernel has no user namespaces" {
		t.Errorf("got %+v", got)
	}
}

func TestNothingKnown(t *testing.T) {
	dir := t.TempDir()
	n, err := Host{Proc: dir, Sys: dir, UID: 1}.Describe(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Unknown) < 4 || n.Lanes() < 1 {
		t.Errorf("of an empty machine this is said: %+v", n)
	}
}

func TestAllowed(t *testing.T) {
	got, err := host(t, nil).allowed()
	if err != nil || !reflect.DeepEqual(got, []int{0, 1, 2, 1030}) {
		t.Errorf("allowed() = %v, %v", got, err)
	}
}

func TestLanes(t *testing.T) {
	for _, c := range []struct {
		cpus  int
		quota float64
		want  int
	}{{8, 0, 8}, {8, 1.5, 2}, {8, 1.4, 1}, {8, 0.2, 1}, {2, 16, 2}, {0, 0, 1}} {
		if got := (Node{CPUs: make([]int, c.cpus), CPUQuota: c.quota}).Lanes(); got != c.want {
			t.Errorf("%d CPUs, quota %v: %d lanes, want %d", c.cpus, c.quota, got, c.want)
		}
	}
}

func TestThreads(t *testing.T) {
	l := Limits{PIDMax: 32768, ThreadsMax: 100000, Tasks: -1, Processes: Limit{Soft: Unlimited}}
	if got := l.Threads(false); got != 32768 {
		t.Errorf("by pid_max: %d", got)
	}
	l.Processes.Soft = 4096
	if got, root := l.Threads(false), l.Threads(true); got != 4096 || root != 32768 {
		t.Errorf("by the user's limit: %d, root %d", got, root)
	}
	l.Tasks = 100
	if got := l.Threads(true); got != 100 {
		t.Errorf("by the control group: %d", got)
	}
}

// This machine: what is true of any.
func TestThisMachine(t *testing.T) {
	n, err := Describe(context.Background())
	if err != nil || len(n.Unknown) > 0 {
		t.Fatalf("%v, unknown: %q", err, n.Unknown)
	}
	if len(n.CPUs) != runtime.NumCPU() || n.Host == "" || n.Kernel == "" || n.BootID == "" {
		t.Errorf("%+v", n)
	}
	if m := n.Memory; m.Total <= 0 || m.Available <= 0 || m.Available > m.Total {
		t.Errorf("memory %+v", m)
	}
	if n.Limits.Files.Soft == 0 || n.Limits.Files.Soft > n.Limits.Files.Hard || n.Limits.Threads(false) < 1 {
		t.Errorf("limits %+v", n.Limits)
	}
	if m, err := MemoryNow(); err != nil || m.Total != n.Memory.Total {
		t.Errorf("MemoryNow() = %+v, %v", m, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Describe(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	var set unix.Statfs_t
	dir := t.TempDir()
	if err := unix.Statfs(dir, &set); err != nil {
		t.Fatal(err)
	}
	free, err := FreeSpace(filepath.Join(dir, "not", "there", "yet"))
	if err != nil || free <= 0 || free > int64(set.Blocks)*set.Frsize {
		t.Errorf("FreeSpace = %d, %v", free, err)
	}
	if kind, err := Stat("/proc"); err != nil || kind.FS != "proc" || kind.Mount != "/proc" {
		t.Errorf("Stat(/proc) = %+v, %v", kind, err)
	}
}
