package inputs

import (
	"path/filepath"
	"strconv"
	"strings"

	"muster/internal/job"
)

// ApplyAliases gives every input file and every output a name that the guest can
// express, where it has none: aliases is guest.Front.Aliases. Each task has folders
// of its own in the guest, so names need be distinct within a task only; two inputs
// of a task with the same base name get one apart as well, in the guests that
// show inputs by base name. tasks is changed in place and returned.
func ApplyAliases(tasks []job.Task, aliases func([]string) []string) []job.Task {
	if aliases == nil {
		return tasks
	}
	for i := range tasks {
		t := &tasks[i]
		aliasInputs(t.In, aliases)
		if t.Out != "" {
			t.OutAlias = aliases([]string{filepath.Base(t.Out)})[0]
		}
	}
	return tasks
}

func aliasInputs(in []job.Input, aliases func([]string) []string) {
	var names []string
	seen := map[string]bool{}
	for _, w := range in {
		if base := filepath.Base(w.Word); w.File && !seen[base] {
			seen[base] = true
			names = append(names, base)
		}
	}
	if len(names) == 0 {
		return
	}
	byName := map[string]string{}
	used := map[string]bool{} // what the guest will see, in lower case
	for i, alias := range aliases(names) {
		byName[names[i]] = alias
		used[strings.ToLower(seenAs(names[i], alias))] = true
	}
	owner := map[string]string{} // base name → the path that has it
	for i := range in {
		if !in[i].File {
			continue
		}
		base := filepath.Base(in[i].Word)
		in[i].Alias = byName[base]
		if first, ok := owner[base]; !ok {
			owner[base] = in[i].Word
		} else if first != in[i].Word {
			in[i].Alias = apartFrom(used, seenAs(base, byName[base]))
		}
	}
}

// seenAs returns the name under which the guest sees a file.
func seenAs(name, alias string) string {
	if alias != "" {
		return alias
	}
	return name
}

// apartFrom makes a name from name that is not used yet, and marks it as used.
// What is in front of the name keeps its extension whole.
func apartFrom(used map[string]bool, name string) string {
	for n := 2; ; n++ {
		number := strconv.Itoa(n) + "_"
		candidate := number + name
		if over := len(candidate) - maxName; over > 0 {
			candidate = number + strings.ToValidUTF8(name[over:], "")
		}
		if key := strings.ToLower(candidate); !used[key] {
			used[key] = true
			return candidate
		}
	}
}
