package gridengine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

// What has left the queue without a word was killed with its supervisor, lost with
// its node, or deleted before it began. The accounting may know; it is written some
// seconds later (flush_time in sge_conf(5), 15 s), and cannot be read everywhere.

// settle is how long the accounting is waited for.
const settle = 25 * time.Second

const settledPrefix = "settled."

// dropped says how element i, which the queue does not have any more, has ended. What was
// said once is kept: it is not to change when the accounting does.
func (e *Engine) dropped(ctx context.Context, a *array, i int, jobTask string, now time.Time) (engine.Element, error) {
	name := settledPrefix + strconv.Itoa(i)
	var begun note
	notes := a.notes[i]
	if n := len(notes); n > 0 {
		begun = notes[n-1]
	}
	el := engine.Element{Index: i, Node: begun.Node, Started: begun.Begun, Restart: max(len(notes)-1, 0)}
	if asked := a.since(cancelFile); !asked.IsZero() {
		el.State, el.Ended, el.Exit = job.Cancelled, latest(asked, begun.Begun), job.Exit{Cause: job.CauseCancelled}
		if len(notes) > 0 && !begun.ended() {
			el.Exit.Signal = 9 // it has answered nothing else
		}
		return el, a.keep(name, el)
	}
	missed := missedPrefix + strconv.Itoa(i)
	if !a.files[missed] {
		if err := touch(a.dir, missed); err != nil && !errors.Is(err, fs.ErrPermission) {
			return el, err
		}
	}
	since := a.since(missed)
	if now.Sub(since) < settle {
		el.State = job.Running
		if len(notes) == 0 {
			el.State = job.Pending
		}
		return el, nil
	}
	el.State, el.Ended = job.NodeFail, latest(since, begun.Begun)
	el.Exit = job.Exit{Cause: job.CauseAgentLost, Detail: "Grid Engine no longer has job " + jobTask + ", and it left no word"}
	if len(notes) == 0 {
		el.State = job.Cancelled
		el.Exit = job.Exit{Cause: job.CauseCancelled, Detail: "job " + jobTask + " was deleted before it began"}
	}
	number, task, _ := strings.Cut(jobTask, ".")
	text, err := e.asTold(ctx, "qacct", "-j", number, "-t", task)
	if err == nil {
		if r := parseQacct(text); r != nil {
			r.tell(&el)
		}
	} else if !isRefused(err) && !errors.Is(err, engine.ErrMissing) {
		return el, err
	}
	return el, a.keep(name, el)
}

// keep notes what was said of an element, where that can be written.
func (a *array) keep(name string, el engine.Element) error {
	b, err := json.Marshal(el)
	if err == nil {
		err = put(a.dir, name, append(b, '\n'))
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

func (a *array) settled(name string) (el engine.Element, err error) {
	b, err := os.ReadFile(filepath.Join(a.dir, name))
	if err == nil {
		err = json.Unmarshal(b, &el)
	}
	if err != nil {
		return el, fmt.Errorf("the notes of an element: %w", err)
	}
	return el, nil
}

// record is what the accounting says of a task's last run.
type record struct {
	host   string
	failed string // a number and words; 0 for none
	code   int
	ended  time.Time
}

// parseQacct reads qacct -j, of whose records the last counts; nil when there is none.
func parseQacct(text string) *record {
	blocks := strings.Split(text, "==============================================================")
	a := attributes(blocks[len(blocks)-1])
	if a["jobnumber"] == "" {
		return nil
	}
	code, _, _ := strings.Cut(a["exit_status"], " ")
	r := &record{host: a["hostname"], failed: a["failed"]}
	r.code, _ = strconv.Atoi(code) // 0 where it is no number
	r.ended, _ = time.ParseInLocation("Mon Jan _2 15:04:05 2006", a["end_time"], time.Local)
	return r
}

// tell brings what the accounting says into an element's report.
func (r *record) tell(el *engine.Element) {
	if r.host != "" && el.Node == "" {
		el.Node = r.host
	}
	if r.ended.After(el.Started) {
		el.Ended = r.ended
	}
	number, words, _ := strings.Cut(r.failed, ":")
	detail := "Grid Engine's accounting: failed " + strings.TrimSpace(number) + ", " + strings.TrimSpace(words)
	switch n := strings.TrimSpace(number); {
	case n == "0" || n == "":
		detail = "Grid Engine's accounting: exit_status " + strconv.Itoa(r.code)
		if r.code == 0 {
			// The supervisor always says more than that it is well: this is no success of its.
			el.Exit.Detail = detail
			return
		}
		fallthrough
	case n == "100" || n == "37":
		el.State = job.Failed
		el.Exit = job.Exit{Code: r.code, Cause: job.CauseExit, Detail: detail}
		if r.code > 128 && r.code < 128+65 {
			el.Exit = job.Exit{Signal: r.code - 128, Cause: job.CauseSignal, Detail: detail}
		}
	default:
		el.Exit.Detail = detail
	}
}
