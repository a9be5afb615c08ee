package timeline

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"muster/internal/job"
)

// WriteTrace writes the timeline in the Trace Event Format, which
// ui.perfetto.dev and chrome://tracing open: a process per agent, a thread per
// lane, a complete event per span, named after its phase. The viewers can show
// only nested events on one thread, so what overlaps has threads of its own:
// the exited spans (an output is published while the next program runs), and
// further ones where many programs share a lane. It streams: nothing of the
// size of the output is held.
func WriteTrace(w io.Writer, t *Timeline) error {
	tw := &traceWriter{w: bufio.NewWriterSize(w, 64<<10), seen: map[int]bool{}, tracks: map[trackKey]*tracks{}, nodes: t.Nodes}
	tw.raw(`{"displayTimeUnit":"ms","otherData":{"origin":`)
	tw.raw(quote(t.Origin.UTC().Format(time.RFC3339Nano)))
	tw.raw(`},"traceEvents":[`)
	for i := range t.Spans {
		tw.span(&t.Spans[i])
	}
	tw.raw("\n]}\n")
	if err := tw.w.Flush(); err != nil {
		return fmt.Errorf("writing the trace: %w", err)
	}
	return nil
}

// traceWriter keeps what must be known of the events written so far. Errors
// stay in the bufio.Writer until Flush.
type traceWriter struct {
	w      *bufio.Writer
	buf    []byte
	events int
	seen   map[int]bool // agents whose process has been named
	tracks map[trackKey]*tracks
	nodes  map[int]string
	next   int // the last thread number given
}

func (tw *traceWriter) raw(s string) { _, _ = tw.w.WriteString(s) }

// begin separates events.
func (tw *traceWriter) begin() []byte {
	b := tw.buf[:0]
	if tw.events > 0 {
		b = append(b, ',')
	}
	tw.events++
	return append(b, '\n')
}

func (tw *traceWriter) end(b []byte) {
	_, _ = tw.w.Write(b)
	tw.buf = b
}

func (tw *traceWriter) span(s *Span) {
	if !tw.seen[s.Agent] {
		tw.seen[s.Agent] = true
		name := "agent " + strconv.Itoa(s.Agent)
		if node := tw.nodes[s.Agent]; node != "" {
			name = node + " (" + name + ")"
		}
		tw.meta("process_name", s.Agent, 0, `"name":`+quote(name))
		tw.meta("process_sort_index", s.Agent, 0, `"sort_index":`+strconv.Itoa(s.Agent))
	}
	id := trackKey{LaneID{s.Agent, s.Lane}, s.Phase == job.PhaseExited}
	tr := tw.tracks[id]
	if tr == nil {
		tr = &tracks{}
		tw.tracks[id] = tr
	}
	k := tr.place(s.Start, s.End)
	if k == len(tr.threads) {
		tw.next++
		tr.threads = append(tr.threads, tw.next)
		tw.meta("thread_name", s.Agent, tw.next, `"name":`+quote(id.thread(k)))
		tw.meta("thread_sort_index", s.Agent, tw.next, `"sort_index":`+strconv.Itoa(id.sort(k)))
	}

	b := tw.begin()
	b = append(b, `{"ph":"X","name":`...)
	b = append(b, quote(string(s.Phase))...)
	if s.Task > 0 {
		b = append(b, `,"cat":"task"`...)
	} else {
		b = append(b, `,"cat":"instance"`...)
	}
	b = append(b, `,"pid":`...)
	b = strconv.AppendInt(b, int64(s.Agent), 10)
	b = append(b, `,"tid":`...)
	b = strconv.AppendInt(b, int64(tr.threads[k]), 10)
	b = append(b, `,"ts":`...)
	b = appendMicros(b, s.Start)
	b = append(b, `,"dur":`...)
	b = appendMicros(b, s.End-s.Start)
	b = append(b, `,"args":{`...)
	n := len(b)
	if s.Task > 0 {
		b = append(b, `,"task":`...)
		b = strconv.AppendInt(b, int64(s.Task), 10)
		b = append(b, `,"attempt":`...)
		b = strconv.AppendInt(b, int64(s.Attempt), 10)
	}
	if s.State != "" {
		b = append(b, `,"state":`...)
		b = append(b, quote(string(s.State))...)
	}
	if s.Instance != "" {
		b = append(b, `,"instance":`...)
		b = append(b, quote(s.Instance)...)
	}
	if s.Open {
		b = append(b, `,"open":true`...)
	}
	if len(b) > n { // the first argument needs no comma
		b = append(b[:n], b[n+1:]...)
	}
	b = append(b, `}}`...)
	tw.end(b)
}

// meta writes a metadata event; args is the inside of its args object.
func (tw *traceWriter) meta(name string, pid, tid int, args string) {
	b := tw.begin()
	b = fmt.Appendf(b, `{"ph":"M","name":%q,"pid":%d,"tid":%d,"args":{%s}}`, name, pid, tid, args)
	tw.end(b)
}

// trackKey tells the sets of threads apart on which spans are laid out.
type trackKey struct {
	LaneID
	exited bool
}

// thread names the k-th thread of the set.
func (id trackKey) thread(k int) string {
	name := "lane " + strconv.Itoa(id.Lane)
	if id.Lane < 0 {
		name = "node"
	}
	if id.exited {
		name += " exited"
	}
	if k > 0 {
		name += " (" + strconv.Itoa(k+1) + ")"
	}
	return name
}

// sort orders threads: by lane, programs before what follows them.
func (id trackKey) sort(k int) int {
	n := (id.Lane+1)*2000 + min(k, 999)
	if id.exited {
		n += 1000
	}
	return n
}

// appendMicros appends d in microseconds with its nanoseconds as decimals.
func appendMicros(b []byte, d time.Duration) []byte {
	if d < 0 {
		b, d = append(b, '-'), -d
	}
	b = strconv.AppendInt(b, int64(d/1000), 10)
	if ns := int64(d % 1000); ns != 0 {
		b = append(b, '.', byte('0'+ns/100), byte('0'+ns/10%10), byte('0'+ns%10))
	}
	return b
}

// quote returns s as a JSON string.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic("timeline: a string cannot be JSON: " + err.Error()) // cannot happen: json replaces invalid UTF-8
	}
	return string(b)
}
