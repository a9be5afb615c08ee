package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	launches "muster/internal/bench"
	"muster/internal/proc"
)

// How many programs are alive at once.
const (
	launchNode   = 4096 // isolation node
	launchLane   = 1024 // isolation lane: an own prefix and an own server each
	launchShared = 1000 // with xargs, and of ours beside it
	launchPlain  = 16   // with a full boot each
	launchRecord = launches.PublishedMost
)

// launch: programs that are all alive at once, in shared servers and with a server
// each, against xargs in one booted prefix and against full boots.
func launch(ctx context.Context, b *bench) ([]row, error) {
	return withProbe(ctx, b, func(l *launchLab) ([]row, error) {
		most, beside, own := b.count(launchNode), b.count(launchShared), b.count(launchLane)
		node, lane := l.muster("node", most), l.muster("lane", own)
		xargs := launches.Xargs(l.plain, l.xargs, l.bash, beside)
		boots := &launches.FullBoot{Wine: l.plain, Limit: launchPlain}
		if err := l.measure(ctx, rounds, []int{launchPlain, beside, most}, node, xargs, boots); err != nil {
			return nil, err
		}
		if err := l.measure(ctx, rounds, []int{own}, lane); err != nil {
			return nil, err
		}
		all, side, script, full, each := l.at(node, most), l.at(node, beside), l.at(xargs, beside), l.at(boots, launchPlain), l.at(lane, own)
		tool := "`xargs -P8`, one booted, untrimmed prefix: "
		return []row{
			{alive(all, "node") + "starts", perSec(all.Rate.Median), "", "", "≥ 300/s"},
			{alive(all, "node") + "memory each", megabytes(all.Memory), "", "", "≤ 1.2 MB"},
			{alive(all, "node") + "CPU time of a start, everything included", cpuTime(all.CPU), "", "", "≤ 5.5 ms"},
			{alive(all, "node") + "from the last sight of all to none", launches.Seconds(all.Down.Median), "", "", "≤ 10 s"},
			{alive(side, "node") + "starts", perSec(side.Rate.Median), tool + perSec(script.Rate.Median), ratio(side.Rate.Median / script.Rate.Median), "≥ 2"},
			{alive(side, "node") + "CPU time of a start", cpuTime(side.CPU), tool + cpuTime(script.CPU), ratio(float64(script.CPU) / float64(side.CPU)), ""},
			{alive(all, "node") + "starts", perSec(all.Rate.Median), fmt.Sprintf("plain `wine`, a full boot each, %d of them: %s", launchPlain, perSec(full.Rate.Median)),
				ratio(all.Rate.Median / full.Rate.Median), "≥ 100"},
			{alive(each, "lane") + "starts", perSec(each.Rate.Median), "", "", "≥ 90/s"},
			{alive(each, "lane") + "memory each", megabytes(each.Memory), "", "", "≤ 4 MB"},
			{alive(each, "lane") + "from the last sight of all to none", launches.Seconds(each.Down.Median), "", "", ""},
		}, nil
	})
}

// launch16384 is the record: as many as were published, on this one machine.
func launch16384(ctx context.Context, b *bench) ([]row, error) {
	return withProbe(ctx, b, func(l *launchLab) ([]row, error) {
		n := b.count(launchRecord)
		node := l.muster("node", n)
		if err := l.measure(ctx, 1, []int{n}, node); err != nil {
			return nil, err
		}
		p, published := l.at(node, n), launches.Published()
		compared := fmt.Sprintf("published, on %d machines of %d cores: about %.0f s", published.Nodes, published.Cores, published.Seconds)
		return []row{
			{alive(p, "node") + "from the command to the last alive", launches.Seconds(p.Launch.Median), compared, ratio(published.Seconds / p.Launch.Median), "< 60 s"},
			{alive(p, "node") + "starts", perSec(p.Rate.Median), fmt.Sprintf("published: %.0f/s", published.Rate()), ratio(p.Rate.Median / published.Rate()), ""},
			{"alive at once, counted in /proc", thousands(p.Alive), "published: " + thousands(published.Instances), "", ""},
			{"memory that the machine had less while all were alive", fmt.Sprintf("%.1f GB, %s each", float64(p.Memory)*float64(n)/1e9, megabytes(p.Memory)), "", "", ""},
			{"CPU time of a start, everything included", cpuTime(p.CPU), "", "", ""},
			{"from the last sight of all to none", launches.Seconds(p.Down.Median), "", "", ""},
		}, nil
	})
}

func alive(p launches.Point, isolation string) string {
	return fmt.Sprintf("%s alive at once, isolation %s: ", thousands(p.Instances), isolation)
}

func megabytes(n int64) string { return fmt.Sprintf("%.2f MB", float64(n)/1e6) }

func cpuTime(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1e3) }

// launchLab is what launches are measured in.
type launchLab struct {
	b           *bench
	table       *proc.Table
	probe       launches.Probe
	plain       *launches.PlainWine
	xargs, bash string
	samples     []launches.Sample
}

// withProbe builds the image and the probe, hands them to measure, and takes
// everything down. As long as it runs, the table starts all processes.
func withProbe(ctx context.Context, b *bench, measure func(*launchLab) ([]row, error)) (rows []row, err error) {
	dir, err := b.fresh("launch")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if _, _, err := b.timed(ctx, b.muster, "image", "build", "wine"); err != nil {
		return nil, err
	}
	l := &launchLab{b: b}
	if l.xargs, err = exec.LookPath("xargs"); err != nil {
		return nil, err
	}
	if l.bash, err = exec.LookPath("bash"); err != nil {
		return nil, err
	}
	if l.table, err = proc.NewTable(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.table.Close()) }()
	if l.probe, err = launches.BuildProbe(ctx, l.table, os.Environ(), exec.LookPath, "wine", dir); err != nil {
		return nil, err
	}
	l.plain = &launches.PlainWine{
		Table: l.table, Loader: "/usr/lib/wine/wine64", Server: "/usr/lib/wine/wineserver64", Dir: filepath.Join(dir, "wine"), Env: b.env, Probe: l.probe,
	}
	defer func() { err = errors.Join(err, l.plain.Close()) }()
	return measure(l)
}

func (l *launchLab) muster(isolation string, most int) *launches.Muster {
	return &launches.Muster{
		Caller: launches.Caller{
			Table: l.table, Exe: l.b.muster, State: filepath.Join(l.b.work, "home", "runs"), Env: l.b.env, Dir: l.b.work,
			Flags: []string{"--guest", "wine", "--engine", "local", "--isolation", isolation},
		},
		Label: "muster, isolation " + isolation, Limit: most, Probe: l.probe, Here: true,
	}
}

// measure keeps samples of the contenders, and fails when one of them does.
func (l *launchLab) measure(ctx context.Context, repeats int, counts []int, contenders ...launches.Contender) error {
	samples, stops, err := launches.Experiment{Contenders: contenders, Counts: counts, Repeats: repeats}.Run(ctx, told{})
	l.samples = append(l.samples, samples...)
	for _, s := range stops {
		err = errors.Join(err, fmt.Errorf("%s with %d: %s", s.Series, s.Instances, s.Reason))
	}
	return err
}

// at is what a contender showed with n instances.
func (l *launchLab) at(c launches.Contender, n int) (p launches.Point) {
	for _, p := range launches.Summarise(l.samples) {
		if p.Series == c.Name() && p.Instances == n {
			return p
		}
	}
	return p // measure has failed if there is none
}

// told says on standard error how an experiment goes on.
type told struct{}

func (told) Do(ctx context.Context, name string, _ time.Duration, f func(context.Context, func(string)) error) error {
	fmt.Fprintln(os.Stderr, name)
	return f(ctx, func(string) {})
}

func (told) Note(text string) { fmt.Fprintln(os.Stderr, text) }
