package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// timed runs a command to its end and returns how long it took and what it wrote
// to its standard output. Its standard error is shown when it fails.
func (b *bench) timed(ctx context.Context, argv ...string) (time.Duration, string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = b.env
	cmd.Dir = b.work
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if b.credential != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: b.credential}
	}
	// Interrupted, it may clean up; servers that inherit its streams must not hold us.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began)
	if err != nil {
		return took, "", fmt.Errorf("%s: %w\n%s%s", strings.Join(argv, " "), err, stdout.String(), stderr.String())
	}
	return took, stdout.String(), nil
}

// median measures rounds times and returns the middle one.
func median(rounds int, measure func() (time.Duration, error)) (time.Duration, error) {
	times := make([]time.Duration, rounds)
	for i := range times {
		var err error
		if times[i], err = measure(); err != nil {
			return 0, err
		}
	}
	slices.Sort(times)
	return times[rounds/2], nil
}

// fresh makes an empty folder below the work folder.
func (b *bench) fresh(name string) (string, error) {
	dir := filepath.Join(b.work, name)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil || b.credential == nil {
		return dir, err
	}
	return dir, os.Chown(dir, int(b.credential.Uid), int(b.credential.Gid))
}

// words writes a list of n one-word inputs.
func (b *bench) words(n int) (string, error) {
	var list bytes.Buffer
	for i := range n {
		fmt.Fprintf(&list, "w%06d\n", i+1)
	}
	name := filepath.Join(b.work, fmt.Sprintf("words-%d", n))
	return name, os.WriteFile(name, list.Bytes(), 0o644)
}

// perSecond is n things in took.
func perSecond(n int, took time.Duration) float64 { return float64(n) / took.Seconds() }
