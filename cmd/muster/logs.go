package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/job"
	"muster/internal/rundir"
	"muster/internal/ui"
	"muster/internal/ui/human"
)

// logsOptions are the flags of logs.
type logsOptions struct {
	follow, stdout, stderr, agents, reduce bool
}

// logsCommand shows what programs have written.
func (a *app) logsCommand() *cobra.Command {
	var o logsOptions
	cmd := &cobra.Command{
		Use:   "logs RUN|RUN_TASKS",
		Short: "Show what the programs wrote",
		Long: `Shows what a run's programs wrote to standard output and standard error, in the order of writing. Where several tasks are
meant, each line begins with its task. On a terminal, control characters are escaped.`,
		Example:           "  muster logs 12_7\n  muster logs last -f --stderr\n  muster logs 12 --agent",
		Args:              argsBetween(1, 1, "a run, or tasks of one"),
		ValidArgsFunction: a.completeRuns(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.selectOne(args[0])
			if err != nil {
				return err
			}
			switch {
			case o.agents && (o.follow || o.stdout || o.stderr || o.reduce || !s.tasks.Empty()):
				return job.BadInputf("--agent shows the agents' own logs of a whole run: it goes with no other flag, and no tasks")
			case o.reduce && !s.tasks.Empty():
				return job.BadInputf("--reduce shows what the reducer wrote: it goes with no tasks")
			case o.agents:
				return a.agentLogs(s.Run)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return a.logs(ctx, s, o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on until the run has ended")
	f.BoolVar(&o.stdout, "stdout", false, "standard output only")
	f.BoolVar(&o.stderr, "stderr", false, "standard error only")
	f.BoolVar(&o.reduce, "reduce", false, "what the reducer wrote")
	f.BoolVar(&o.agents, "agent", false, "the agents' own logs")
	return cmd
}

// logsEvery is how often -f looks for more.
const logsEvery = 200 * time.Millisecond

func (a *app) logs(ctx context.Context, s selected, o logsOptions) error {
	c, err := a.conductor(nil)
	if err != nil {
		return err
	}
	reader := s.Streams(func(task, _ int) bool {
		if o.reduce {
			return task == 0
		}
		return s.tasks.Empty() || s.tasks.Contains(task)
	})
	w := &logWriter{p: a.print(), run: s.Number, several: !o.reduce && s.tasks.Len() != 1, parts: map[logKey]*bytes.Buffer{}}
	show := func(ch rundir.Chunk) error {
		if o.stdout == o.stderr || o.stdout && ch.FD == 1 || o.stderr && ch.FD == 2 {
			w.chunk(ch)
		}
		return nil
	}
	for {
		ended := true
		if o.follow {
			// Asked before reading: what is written until then is seen.
			stand, err := c.Stand(ctx, s.Run, rundir.LoadOptions{})
			if err != nil {
				return err
			}
			ended = stand.Ended
		}
		if err := reader.Next(show); err != nil {
			w.rest()
			return err
		}
		if ended {
			w.rest()
			return nil
		}
		select {
		case <-ctx.Done():
			w.rest()
			return ctx.Err()
		case <-time.After(logsEvery):
		}
	}
}

// logWriter prints chunks: as they are for one task, by whole lines with the
// task before them for several.
type logWriter struct {
	p       *ui.Printer
	run     int
	several bool
	parts   map[logKey]*bytes.Buffer // lines without their ends
}

type logKey struct{ task, attempt, fd int }

func (w *logWriter) chunk(ch rundir.Chunk) {
	if ch.Cut > 0 {
		w.p.Err.Printf("%d_%d: %s are missing here: beyond --max-log, or not in the file\n", w.run, ch.Task, human.Bytes(ch.Cut))
	}
	if !w.several && !w.p.Out.Terminal() {
		w.p.Out.Print(string(ch.Data))
		return
	}
	k := logKey{ch.Task, ch.Attempt, ch.FD}
	b := w.parts[k]
	if b == nil {
		b = &bytes.Buffer{}
		w.parts[k] = b
	}
	b.Write(ch.Data)
	for {
		i := bytes.IndexByte(b.Bytes(), '\n')
		if i < 0 {
			return
		}
		w.line(k, string(b.Next(i + 1)[:i]))
	}
}

// rest prints the lines that have no end.
func (w *logWriter) rest() {
	keys := []logKey{}
	for k, b := range w.parts {
		if b.Len() > 0 {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(x, y logKey) int {
		if x.task != y.task {
			return x.task - y.task
		}
		return (x.attempt-y.attempt)*2 + x.fd - y.fd
	})
	for _, k := range keys {
		w.line(k, w.parts[k].String())
	}
}

func (w *logWriter) line(k logKey, text string) {
	if w.p.Out.Terminal() {
		text = strings.TrimSuffix(text, "\r")
		words := strings.Split(text, "\t")
		for i := range words {
			words[i] = human.Escape(words[i])
		}
		text = strings.Join(words, "\t")
	}
	if w.several {
		name := fmt.Sprintf("%d_%d", w.run, k.task)
		switch {
		case k.task == 0:
			name = fmt.Sprintf("%d_reduce", w.run)
		case k.attempt > 1:
			name += fmt.Sprintf(".%d", k.attempt)
		}
		text = w.p.Out.Paint(ui.Dim, name+"|") + " " + text
	}
	w.p.Out.Print(text + "\n")
}

// agentLogs prints the logs of a run's agents, one after another.
func (a *app) agentLogs(r *rundir.Run) error {
	subs, err := r.Submissions()
	if err != nil {
		return err
	}
	p := a.print()
	for _, s := range subs {
		for e := 1; e <= s.Elements; e++ {
			b, err := os.ReadFile(filepath.Join(r.LogsDir(s.Generation), strconv.Itoa(e)+".log"))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return fmt.Errorf("reading an agent's log: %w", err)
			}
			for line := range strings.Lines(string(b)) {
				line = strings.TrimSuffix(line, "\n")
				if p.Out.Terminal() {
					line = human.Escape(line)
				}
				p.Out.Printf("%s %s\n", p.Out.Paint(ui.Dim, fmt.Sprintf("%s %d.%d|", s.Kind, s.Generation, e)), line)
			}
		}
	}
	return nil
}
