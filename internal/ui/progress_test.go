package ui

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"muster/internal/goldentest"
	"muster/internal/job"
	"muster/internal/ui/human"
)

// play runs two minutes of a run, fed four times a second, under a clock that
// is the test's own.
func play(pr *Progress) {
	_ = pr.Do(context.Background(), "looking for the image", 0, func(context.Context, func(string)) error {
		time.Sleep(230 * time.Millisecond) // too short to mention, and out of step with the display's own clock
		return nil
	})
	_ = pr.Do(context.Background(), "building the Wine image", 10*time.Minute, func(_ context.Context, say func(string)) error {
		time.Sleep(20 * time.Second)
		say("installing fonts \x1b]0;x\x07")
		time.Sleep(22 * time.Second)
		return nil
	})
	began := time.Now()
	st := Status{Run: 12, Name: "sim.exe", Total: 1000}
	for step := 0; step <= 400; step++ {
		st.Elapsed = time.Since(began)
		ended := min(step*3, 1000)
		if step > 150 && step < 320 {
			ended = 450 // stuck for a while
		}
		st.Counts = map[job.State]int{
			job.Completed: ended - ended/100, job.Failed: ended / 100,
			job.Running: min(8, 1000-ended),
		}
		if ended/100 > 0 {
			st.Failure = "missing-dll: needs FOO.dll"
		}
		if ended/100 > 5 {
			st.Failure = "exit-code: 3 tasks ended with code 3"
		}
		st.Message = ""
		if step > 200 && step < 300 {
			st.Message = "waiting for space on /out"
		}
		if step == 350 {
			pr.Note("n017 left; its tasks run elsewhere")
		}
		st.Rate = 12
		st.Left = time.Duration(1000-ended) * time.Second / 12
		pr.Update(st)
		time.Sleep(250 * time.Millisecond)
	}
	st.Left = 0
	pr.Finish(st)
}

func TestPlainAndJSON(t *testing.T) {
	for mode, file := range map[ProgressMode]string{
		ProgressAuto: "plain.txt", // no terminal: auto is plain
		ProgressJSON: "progress.ndjson",
		ProgressNone: "none.txt",
	} {
		t.Run(string(mode), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				p := New(Options{Stdout: &out, Stderr: &out, Getenv: utf8Terminal})
				play(p.Progress(mode))
				goldentest.Check(t, file, out.String())
			})
		})
	}
}

func TestStepLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := New(Options{Stdout: &out, Stderr: &out, Getenv: env()})
		pr := p.Progress(ProgressPlain)
		err := pr.Do(context.Background(), "booting the VM", 61*time.Second, func(ctx context.Context, _ func(string)) error {
			<-ctx.Done()
			return ctx.Err()
		})
		pr.Close()
		pr.Close()
		var late *LimitError
		if !errors.As(err, &late) || err.Error() != "booting the VM took longer than its limit of 1 min 1 s" {
			t.Errorf("a step beyond its limit gave %v", err)
		}
		if want := "booting the VM (at most 1 min 1 s)\nbooting the VM: 30 s so far\nbooting the VM: 1 min so far\nbooting the VM: failed after 1 min 1 s\n"; out.String() != want {
			t.Errorf("shown: %q, want %q", out.String(), want)
		}

		pr = p.Progress(ProgressNone)
		defer pr.Close()
		own := errors.New("own trouble")
		if err := pr.Do(context.Background(), "x", time.Minute, func(context.Context, func(string)) error { return own }); err != own {
			t.Errorf("a step's own error came out as %v", err)
		}
	})
}

// marks shows styles as letters, so that a golden can be read.
func marks(style Style, text string) string {
	name := map[Style]string{Bold: "b", Dim: "d", Red: "red", Green: "green", Yellow: "yellow", Cyan: "cyan"}[style]
	if name == "" || text == "" {
		return text
	}
	return "<" + name + ":" + text + ">"
}

func noPaint(_ Style, text string) string { return text }

func TestFrames(t *testing.T) {
	few := halfWay()
	few.Counts = map[job.State]int{job.Completed: 9990, job.Failed: 1, job.Lost: 3, job.Suspended: 6}
	asked := view{status: halfWay(), have: true, unicode: true, ask: (&Interrupt{Detach: true}).Question()}
	building := view{unicode: true, steps: []stepView{{name: "building the Wine image", took: 12 * time.Second, limit: 10 * time.Minute, detail: "wineboot -i"}}}
	busy := view{status: halfWay(), have: true, unicode: true, steps: building.steps}
	var out strings.Builder
	show := func(title string, v view, width, height int, paint painter) {
		out.WriteString("-- " + title + "\n" + strings.Join(frame(v, width, height, paint), "\n") + "\n")
	}
	v := view{status: halfWay(), have: true, unicode: true}
	show("100 columns", v, 100, 24, noPaint)
	show("80 columns, coloured", v, 80, 24, marks)
	show("60 columns", v, 60, 24, noPaint)
	show("40 columns", v, 40, 24, noPaint)
	show("12 columns", v, 12, 24, noPaint)
	show("2 rows", v, 80, 2, noPaint)
	show("a locale without UTF-8", view{status: halfWay(), have: true}, 80, 24, noPaint)
	show("nearly done, every kind of state", view{status: few, have: true}, 80, 24, noPaint)
	show("asked", asked, 80, 24, marks)
	show("building, no run yet", building, 80, 24, noPaint)
	show("building, narrow", building, 40, 24, noPaint)
	show("building beside a run", busy, 80, 24, noPaint)
	show("nothing known", view{have: true}, 80, 24, noPaint)
	launch := Status{Run: 12, Name: "app.exe", Total: 4096, Launch: true, Alive: 2540, Rate: 338, Left: 5 * time.Second, Elapsed: 8 * time.Second,
		Counts: map[job.State]int{job.Running: 2548, job.Failed: 1}}
	show("a launch comes up", view{status: launch, have: true, unicode: true}, 80, 24, noPaint)
	launch.Counts, launch.Alive = map[job.State]int{job.Running: 4096}, 4096
	show("a launch is held", view{status: launch, have: true, unicode: true}, 80, 24, noPaint)
	out.WriteString(plainSentence(launch) + "\n")
	goldentest.Check(t, "frames.txt", out.String())
}

func TestFrameFitsWhateverComes(t *testing.T) {
	states := []job.State{job.Pending, job.Running, job.Suspended, job.Completed, job.Failed, job.Timeout, job.Lost, job.Cancelled}
	rapid.Check(t, func(t *rapid.T) {
		st := Status{
			Run: rapid.IntRange(0, 1e6).Draw(t, "run"), Name: rapid.String().Draw(t, "name"),
			Total:   rapid.IntRange(0, 1e7).Draw(t, "total"),
			Counts:  rapid.MapOf(rapid.SampledFrom(states), rapid.IntRange(0, 1e6)).Draw(t, "counts"),
			Rate:    rapid.Float64().Draw(t, "rate"),
			Left:    time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "left")),
			Failure: rapid.String().Draw(t, "failure"), Message: rapid.String().Draw(t, "message"),
		}
		v := view{status: st, have: true, unicode: rapid.Bool().Draw(t, "unicode"), ask: rapid.String().Draw(t, "ask")}
		width, height := rapid.IntRange(1, 140).Draw(t, "width"), rapid.IntRange(1, 9).Draw(t, "height")
		lines := frame(v, width, height, noPaint)
		if len(lines) > height || len(lines) > frameLines {
			t.Fatalf("%d lines in %d rows", len(lines), height)
		}
		for _, l := range lines {
			if w := human.Width(l); w >= width && width > 1 {
				t.Fatalf("%d cells of %d: %q", w, width, l)
			}
			if human.Escape(l) != l {
				t.Fatalf("unescaped: %q", l)
			}
		}
	})
}

func TestBarShowsEveryState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func(name string) int { return rapid.IntRange(0, 1e6).Draw(t, name) }
		ta := tally{completed: n("completed"), failed: n("failed"), lost: n("lost"), running: n("running"), waiting: n("waiting")}
		ta.total = ta.ended() + ta.running + ta.waiting
		if ta.total == 0 {
			return // never drawn
		}
		cells := rapid.IntRange(10, 60).Draw(t, "cells")
		b := bar(ta, cells, false, noPaint)
		if len(b) != cells {
			t.Fatalf("%d cells instead of %d: %q", len(b), cells, b)
		}
		for sign, n := range map[string]int{"#": ta.completed, "x": ta.failed, "!": ta.lost, ">": ta.running, ".": ta.waiting} {
			if strings.Contains(b, sign) != (n > 0) {
				t.Fatalf("%d tasks with the sign %q in %q", n, sign, b)
			}
		}
	})
}
