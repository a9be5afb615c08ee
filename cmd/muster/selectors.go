package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"muster/internal/job"
	"muster/internal/rundir"
)

// selected is a run that was named on the command line, with the tasks that were.
type selected struct {
	*rundir.Run
	tasks job.IndexSet // empty: all
}

// selectRuns reads selectors.
func (a *app) selectRuns(words ...string) ([]selected, error) {
	sels, err := job.ParseSelectors(words...)
	if err != nil {
		return nil, err
	}
	store, err := a.store()
	if err != nil {
		return nil, err
	}
	var out []selected
	for _, sel := range sels {
		n := sel.Run
		if sel.Last {
			n, err = store.Last()
			if errors.Is(err, rundir.ErrNoRun) {
				return nil, job.BadInputf("there are no runs yet; muster map makes one")
			}
			if err != nil {
				return nil, err
			}
		}
		r, err := store.Open(n)
		if errors.Is(err, rundir.ErrNoRun) {
			return nil, job.BadInputf("there is no run %d; muster ps lists them", n)
		}
		if err != nil {
			return nil, err
		}
		if !sel.Tasks.Empty() {
			spec, err := r.Spec()
			if err != nil {
				return nil, err
			}
			if sel.Tasks.Max() > spec.Tasks {
				return nil, job.BadInputf("run %d has no task %d: its tasks are 1 to %d", n, sel.Tasks.Max(), spec.Tasks)
			}
		}
		out = append(out, selected{r, sel.Tasks})
	}
	return out, nil
}

// selectOne reads a selector that names one run, and maybe some of its tasks.
func (a *app) selectOne(word string) (selected, error) {
	all, err := a.selectRuns(word)
	if err != nil {
		return selected{}, err
	}
	if len(all) != 1 {
		return selected{}, job.BadInputf("%q names several runs; one at a time here", word)
	}
	return all[0], nil
}

// wholeRun reads a selector that names a run and no tasks. what is for the
// message: "wait", "resume".
func (a *app) wholeRun(what, word string) (*rundir.Run, error) {
	s, err := a.selectOne(word)
	if err != nil {
		return nil, err
	}
	if !s.tasks.Empty() {
		return nil, job.BadInputf("muster %s takes a whole run: muster %s %d", what, what, s.Number)
	}
	return s.Run, nil
}

// Arguments of commands, with messages of our own.

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return job.BadInputf("muster %s takes no argument, and %q is one; muster %s --help tells more", cmd.Name(), args[0], cmd.Name())
	}
	return nil
}

// args asks for at least least and at most most arguments (0: any number);
// what says what they are.
func argsBetween(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		path := strings.TrimPrefix(cmd.CommandPath(), "muster ")
		switch {
		case len(args) < least:
			return job.BadInputf("muster %s needs %s; such as: %s", path, what, firstExample(cmd))
		case most > 0 && len(args) > most:
			return job.BadInputf("muster %s takes %s, and %q is too many; muster %s --help tells more", path, what, args[most], path)
		}
		return nil
	}
}

func firstExample(cmd *cobra.Command) string {
	line, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
	return line
}

// completeRuns offers the runs' numbers with their programs; several: more than
// one selector may stand there.
func (a *app) completeRuns(several bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 && !several {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		if a.settle(cmd) != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		store, err := a.store()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		numbers, err := store.List()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		const most = 50
		numbers = numbers[max(0, len(numbers)-most):]
		var out []cobra.Completion
		if len(numbers) > 0 {
			out = append(out, cobra.CompletionWithDesc("last", "the newest run"))
		}
		for i := len(numbers) - 1; i >= 0; i-- {
			r, err := store.Open(numbers[i])
			if err != nil {
				continue
			}
			spec, err := r.Spec()
			if err != nil {
				continue
			}
			out = append(out, cobra.CompletionWithDesc(strconv.Itoa(numbers[i]), fmt.Sprintf("%s, %d tasks", spec.Name, spec.Tasks)))
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}
