package inside

import (
	"bytes"
	"os"
	"strconv"
)

// session lists the living processes of a program whose first process was pid: those of its session, and
// those below it. One that has left both is not found; for that there are cells.
func session(pid int) []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1)
	above := map[int]int{}
	ours := map[int]bool{pid: true}
	for _, name := range names {
		n, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		state, parent, sid, ok := readStat(n)
		if !ok || state == 'Z' || state == 'X' {
			continue
		}
		above[n] = parent
		if sid == pid {
			ours[n] = true
		}
	}
	var found []int
	for n := range above {
		for p, steps := n, 0; p > 1 && steps < len(above); p, steps = above[p], steps+1 {
			if ours[p] {
				found = append(found, n)
				break
			}
		}
	}
	return found
}

// readStat reads what /proc tells of a process.
func readStat(pid int) (state byte, parent, sid int, ok bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, 0, false
	}
	// The name, in parentheses, may hold anything.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 4 {
		return 0, 0, 0, false
	}
	parent, _ = strconv.Atoi(string(fields[1]))
	sid, _ = strconv.Atoi(string(fields[3]))
	return fields[0][0], parent, sid, true
}
