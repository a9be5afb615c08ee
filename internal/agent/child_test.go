package agent

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"muster/internal/guest"
	"muster/internal/guest/native"
	"muster/internal/proc"
	"muster/internal/rundir"
)

// envChild makes the test's own program a keeper, with its agent below it:
// RUNDIR:GENERATION:SCRATCH.
const envChild = "AGENT_TEST_CHILD"

// child is what an engine starts.
func child(how string) int {
	words := strings.Split(how, ":")
	generation, _ := strconv.Atoi(words[1])
	warned := make(chan os.Signal, 1)
	signal.Notify(warned, syscall.SIGUSR1, syscall.SIGUSR2)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	var code int
	var err error
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		c := Config{
			RunDir: words[0], Generation: generation, Element: 1, Environ: os.Environ(), Warned: warned, Log: log,
			Guest: func(_ string, t *proc.Table) (guest.Guest, error) { return native.New(t), nil },
		}
		flags := flag.NewFlagSet("agent", flag.ExitOnError)
		flags.StringVar(&c.Scratch, "scratch-dir", "", "")
		flags.BoolVar(&c.Namespace, "namespace", false, "")
		flags.IntVar(&c.HostPID, "host-pid", 0, "")
		_ = flags.Parse(os.Args[2:]) // it exits
		code, err = Inside(ctx, c)
	} else {
		k := Keeper{Exe: "/proc/self/exe", Args: []string{"agent"}, Env: os.Environ(), Root: words[2], Contain: ContainAuto, Warned: warned, Log: log}
		if k.Exe, err = os.Executable(); err == nil {
			code, err = k.Run(ctx)
		}
	}
	if err != nil {
		log.Error(err.Error())
		return exitFailed
	}
	return code
}

// element is a keeper with its agent, in processes of their own.
type elementProcess struct {
	lab *lab
	cmd *exec.Cmd
	log string
}

// start starts what an engine would for the lab's element.
func (l *lab) start(generation int) *elementProcess {
	l.t.Helper()
	exe, err := os.Executable()
	check(l.t, err)
	scratch := filepath.Join(l.dir, "scratch")
	check(l.t, os.MkdirAll(scratch, 0o700))
	l.agents++
	e := &elementProcess{lab: l, cmd: exec.Command(exe), log: filepath.Join(l.dir, fmt.Sprintf("agent%d.log", l.agents))}
	if l.bind != "" {
		e.cmd = bound(l.bind, e.cmd)
	}
	log, err := os.Create(e.log)
	check(l.t, err)
	defer log.Close()
	e.cmd.Stdout, e.cmd.Stderr = log, log
	e.cmd.Env = append(l.environ, envChild+"="+l.run.Dir+":"+strconv.Itoa(generation)+":"+scratch, "PATH=/usr/bin:/bin")
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	check(l.t, e.cmd.Start())
	l.t.Cleanup(func() {
		if e.cmd.ProcessState == nil {
			_ = e.cmd.Process.Kill() // the agent notices, and ends by itself
			_ = e.cmd.Wait()
		}
		if l.t.Failed() {
			text, _ := os.ReadFile(e.log)
			l.t.Logf("%s:\n%s", filepath.Base(e.log), text)
		}
	})
	return e
}

func (e *elementProcess) signal(sig syscall.Signal) {
	e.lab.t.Helper()
	check(e.lab.t, e.cmd.Process.Signal(sig))
}

// wait waits for the element's end, and returns its exit code.
func (e *elementProcess) wait() int {
	e.lab.t.Helper()
	_ = e.cmd.Wait() // the code tells
	left, err := os.ReadDir(filepath.Join(e.lab.dir, "scratch", "muster-"+strconv.Itoa(os.Geteuid())))
	for _, f := range left {
		if err == nil && strings.HasPrefix(f.Name(), "a") && !e.lab.others {
			e.lab.t.Errorf("its scratch folder is left: %s", f.Name())
		}
	}
	return e.cmd.ProcessState.ExitCode()
}

// words is what the agent of that incarnation has said at its end.
func wordsOf(snap *rundir.Snapshot, incarnation int) string {
	for _, a := range snap.Agents {
		if a.ID.Incarnation == incarnation {
			return a.Why
		}
	}
	return "(there is no such agent)"
}

func TestMain(m *testing.M) {
	if how := os.Getenv(envChild); how != "" {
		os.Exit(child(how))
	}
	if config := os.Getenv(envSharer); config != "" {
		os.Exit(childAgent(config))
	}
	verify(m)
}
