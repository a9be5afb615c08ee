package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/job"
	"muster/internal/rundir"
)

// SameBuild refuses to be the agent of a run that another version of muster has
// made: built is the version that submitted it, own this one's, exe its path on this
// node. Errors: job.ErrBadInput.
func SameBuild(built, own, exe string) error {
	if built == "" || built == own {
		return nil
	}
	return job.BadInputf("the run was submitted by muster %s, and %s on this node is muster %s; put the same muster on every node, best on the shared file system", built, exe, own)
}

// leastAddressSpace is what keeper and agent need of it, each. Go reserves far more
// than it uses: 1.2 GiB were seen of both, and with less than 1.3 some ended in the middle of something.
const leastAddressSpace = 3 << 29

// FitAddressSpace refuses a limit on the address space (ulimit -v, Grid Engine's
// h_vmem) under which no agent can live. Wine needs more, and says so itself.
func FitAddressSpace() error {
	var as unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &as); err != nil {
		return fmt.Errorf("reading the limit of the address space: %w", err)
	}
	return fitAddressSpace(as.Cur)
}

func fitAddressSpace(limit uint64) error {
	if limit >= leastAddressSpace {
		return nil
	}
	return job.BadInputf("the address space is limited to %s here (ulimit -v; Grid Engine: h_vmem), and an agent needs %s; ask for more with --mem",
		job.FormatMemory(int64(limit)), job.FormatMemory(leastAddressSpace))
}

// Refuse records why this node cannot do its part of a run, so that a person
// learns of it where the run is looked at; the agent's own log may be out of sight. It returns why,
// with what kept it from being recorded.
func Refuse(c Config, why error) error {
	run, err := rundir.Open(c.RunDir)
	if err != nil {
		return errors.Join(why, err)
	}
	a := &agent{Config: c, run: run}
	start := rundir.AgentStart{Run: run.Number, Element: c.Element, Began: time.Now(), Lanes: 1, Job: jobName(c.Environ)}
	if a.machine, err = machineName(); err == nil {
		start.Host = nodeName(c.Environ, a.machine)
	}
	if a.journal, err = run.NewJournal(c.Generation, c.Element, start, rundir.JournalOptions{}); err != nil {
		return errors.Join(why, err)
	}
	a.note("%s: %s", start.Host, firstLine(why))
	err = a.journal.Append(rundir.Record{Kind: rundir.KindFinish, At: a.journal.Now(), Note: "failed"})
	return errors.Join(why, err, a.journal.Close())
}

// refused tells a person what keeps the agent from its work, if that is not simply that
// it was told to stop.
func refused(ctx context.Context, c Config, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	return Refuse(c, err)
}
