package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clusterUser is the ordinary user who submits; made for the measurement when it
// is not there.
const clusterUser = "muster-bench"

// withSlurm brings up a real Slurm of so many nodes on this machine, hands measure
// a bench whose commands an ordinary user runs there, and takes all down.
// settings are environment variables of scripts/cluster-slurm.sh.
func (b *bench) withSlurm(ctx context.Context, nodes, cpus int, settings []string, measure func(*bench) ([]row, error)) (rows []row, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("bringing up a cluster needs root")
	}
	parent, err := os.MkdirTemp("", "muster-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(parent)) }()
	if err := os.Chmod(parent, 0o755); err != nil {
		return nil, err
	}
	dir := filepath.Join(parent, "slurm")
	script := func(verb ...string) error {
		cmd := exec.CommandContext(context.WithoutCancel(ctx), "scripts/cluster-slurm.sh", verb...)
		cmd.Env = append(os.Environ(), settings...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("cluster-slurm.sh %s: %w\n%s", verb[0], err, out)
		}
		return nil
	}
	if err := script("start", dir, strconv.Itoa(nodes), strconv.Itoa(cpus)); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, script("stop", dir)) }()

	credential, home, remove, err := ordinaryUser(ctx, filepath.Join(dir, "shared"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	inside := *b
	inside.work, inside.credential = home, credential
	// The nodes see what is shared, so the program under measurement goes there.
	inside.muster = filepath.Join(home, "muster")
	if out, err := exec.CommandContext(ctx, "install", "-m", "0755", b.muster, inside.muster).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("copying muster to the cluster: %w: %s", err, out)
	}
	settled, err := exports(filepath.Join(dir, "env"))
	if err != nil {
		return nil, err
	}
	inside.env = append([]string{"HOME=" + home, "USER=" + clusterUser, "LOGNAME=" + clusterUser, "LANG=C.UTF-8", "WINEDEBUG=-all", "PATH=/usr/local/bin:/usr/bin:/bin"}, settled...)
	return measure(&inside)
}

// ordinaryUser finds or makes the user, with a new home folder below shared.
func ordinaryUser(ctx context.Context, shared string) (c *syscall.Credential, home string, remove func() error, err error) {
	remove = func() error { return nil }
	u, err := user.Lookup(clusterUser)
	if err != nil {
		run := func(argv ...string) error {
			if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", argv[0], err, out)
			}
			return nil
		}
		if err := run("useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/sh", clusterUser); err != nil {
			return nil, "", nil, err
		}
		remove = func() error { return run("userdel", clusterUser) }
		if u, err = user.Lookup(clusterUser); err != nil {
			return nil, "", nil, errors.Join(err, remove())
		}
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	home = filepath.Join(shared, "bench")
	if err := errors.Join(err1, err2, os.Mkdir(home, 0o755), os.Chown(home, uid, gid)); err != nil {
		return nil, "", nil, errors.Join(err, remove())
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, home, remove, nil
}

// exports reads the assignments of a file of "export NAME=VALUE" lines.
func exports(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var env []string
	for line := range strings.Lines(string(text)) {
		if kv, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
			env = append(env, strings.ReplaceAll(kv, "'", ""))
		}
	}
	return env, nil
}

// plainArray submits a plain array of n elements, each of which runs script, and
// returns how long it took until none was left.
func (b *bench) plainArray(ctx context.Context, n int, script string) (time.Duration, error) {
	file := filepath.Join(b.work, "plain.sh")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		return 0, err
	}
	began := time.Now()
	_, id, err := b.timed(ctx, "sbatch", "--parsable", "--output=/dev/null", fmt.Sprintf("--array=1-%d", n), file)
	if err != nil {
		return 0, err
	}
	for {
		_, left, err := b.timed(ctx, "squeue", "--noheader", "--jobs="+strings.TrimSpace(id))
		if err != nil || strings.TrimSpace(left) == "" {
			return time.Since(began), err
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// calls is how many calls the controller has had of the ordinary user since the last
// time it was asked, this question left out.
func (b *bench) calls(ctx context.Context) (int, error) {
	root := *b
	root.credential = nil
	_, text, err := root.timed(ctx, "sdiag")
	if err != nil {
		return 0, err
	}
	if _, _, err := root.timed(ctx, "sdiag", "--reset"); err != nil {
		return 0, err
	}
	// Remote Procedure Call statistics by user: a line for each.
	_, users, _ := strings.Cut(text, "statistics by user")
	for line := range strings.Lines(users) {
		if f := strings.Fields(line); len(f) > 3 && f[0] == clusterUser {
			_, count, _ := strings.Cut(line, "count:")
			return strconv.Atoi(strings.Fields(count)[0])
		}
	}
	return 0, nil
}
