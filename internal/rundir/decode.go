package rundir

import (
	"fmt"
	"strings"
	"time"

	"muster/internal/clock"
	"muster/internal/job"
)

// recordBox holds what a Record points to, so that a reader that looks at one
// record at a time needs no memory for each.
type recordBox struct {
	agent    AgentStart
	instance InstancePhase
	start    TaskStart
	up       TaskUp
	launch   LaunchStep
	end      TaskEnd
	reduce   ReduceEnd
	output   Output
	clock    clock.Reading
}

// decodePayload reads a line's payload, whose checksum was right, into rec. The
// strings of rec share s.
func decodePayload(s string, rec *Record, box *recordBox) (seq uint64, err error) {
	n, rest, ok := cutInt(s)
	if !ok || n < 0 || len(rest) < 2 || rest[0] != ' ' {
		return 0, fmt.Errorf("it does not begin with a number and a kind")
	}
	*rec = Record{Kind: Kind(rest[1])}
	fs := fields{rest: rest[2:]}
	switch rec.Kind {
	case KindAgent:
		rec.Agent = &box.agent
		*rec.Agent = AgentStart{}
		decodeAgent(&fs, rec)
	case KindInstance:
		rec.Instance = &box.instance
		*rec.Instance = InstancePhase{}
		decodeInstance(&fs, rec)
	case KindStart:
		rec.Start = &box.start
		*rec.Start = TaskStart{}
		decodeStart(&fs, rec)
	case KindUp:
		rec.Up = &box.up
		*rec.Up = TaskUp{}
		decodeUp(&fs, rec)
	case KindLaunch:
		rec.Launch = &box.launch
		*rec.Launch = LaunchStep{}
		decodeLaunch(&fs, rec)
	case KindEnd:
		rec.End = &box.end
		*rec.End = TaskEnd{Outputs: box.end.Outputs[:0]}
		decodeEnd(&fs, rec)
	case KindReduce:
		rec.Reduce = &box.reduce
		*rec.Reduce = ReduceEnd{}
		decodeReduce(&fs, rec, box)
	case KindClock:
		rec.Clock = &box.clock
		*rec.Clock = clock.Reading{}
		decodeClock(&fs, rec)
	default: // notes, and kinds of a later muster, which its readers can do without
		for fs.next() {
			switch fs.key {
			case "at":
				rec.At = fs.duration()
			case "note":
				rec.Note = fs.value
			}
		}
	}
	if fs.bad != "" {
		return 0, fmt.Errorf("its field %s cannot be read", fs.bad)
	}
	return uint64(n), nil
}

func decodeAgent(fs *fields, rec *Record) {
	a := rec.Agent
	for fs.next() {
		switch fs.key {
		case "at":
			rec.At = fs.duration()
		case "version":
			a.Version = fs.int()
		case "run":
			a.Run = fs.int()
		case "generation":
			a.Generation = fs.int()
		case "element":
			a.Element = fs.int()
		case "incarnation":
			a.Incarnation = fs.int()
		case "token":
			a.Token = fs.value
		case "host":
			a.Host = fs.value
		case "job":
			a.Job = fs.value
		case "pid":
			a.PID = fs.int()
		case "began":
			a.Began = fs.clock()
		case "submitted":
			a.Submitted = fs.clock()
		case "lanes":
			a.Lanes = fs.int()
		case "staged":
			a.Staged = fs.duration()
		case "bytes":
			a.StagedBytes = int64(fs.int())
		case "how":
			a.StagedHow = fs.value
		case "boot":
			a.Boot = fs.value
		}
	}
}

func decodeClock(fs *fields, rec *Record) {
	c := rec.Clock
	for fs.next() {
		switch fs.key {
		case "at":
			rec.At = fs.duration()
		case "method":
			c.Method = clock.Method(fs.value)
		case "least":
			c.Ahead.Least = fs.duration()
		case "most":
			c.Ahead.Most = fs.duration()
		case "local":
			c.Local = fs.value == "1"
		case "why":
			c.Why = fs.value
		}
	}
}

func decodeInstance(fs *fields, rec *Record) {
	p := rec.Instance
	for fs.next() {
		switch fs.key {
		case "at":
			rec.At = fs.duration()
		case "id":
			p.ID = fs.value
		case "lane":
			p.Lane = fs.int()
		case "phase":
			p.Phase = job.Phase(fs.value)
		case "began":
			p.Began = fs.duration()
		case "cause":
			p.Cause = job.Cause(fs.value)
		case "text":
			p.Text = fs.value
		}
	}
}

func decodeStart(fs *fields, rec *Record) {
	s := rec.Start
	for fs.next() {
		switch fs.key {
		case "at":
			rec.At = fs.duration()
		case "task":
			s.Task = fs.int()
		case "try":
			s.Attempt = fs.int()
		case "lane":
			s.Lane = fs.int()
		case "inst":
			s.Instance = fs.value
		case "pid":
			s.PID = fs.int()
		}
	}
}

func decodeUp(fs *fields, rec *Record) {
	for fs.next() {
		switch fs.key {
		case "at":
			rec.At = fs.duration()
		case "task":
			rec.Up.Task = fs.int()
		case "try":
			rec.Up.Attempt = fs.int()
		}
	}
}

func decodeLaunch(fs *fields, rec *Record) {
	l := rec.Launch
	for fs.next() {
		switch fs.key {
		case "at":
			rec.At = fs.duration()
		case "step":
			l.Step = Step(fs.value)
		case "alive":
			l.Alive = fs.int()
		case "bytes":
			l.Bytes = int64(fs.int())
		}
	}
}

func decodeEnd(fs *fields, rec *Record) {
	e := rec.End
	for fs.next() {
		switch fs.key {
		case "at":
			rec.At = fs.duration()
		case "task":
			e.Task = fs.int()
		case "try":
			e.Attempt = fs.int()
		case "lane":
			e.Lane = fs.int()
		case "inst":
			e.Instance = fs.value
		case "final":
			e.Final = fs.value == "1"
		case "out":
			e.Outputs = append(e.Outputs, Output{Name: fs.value})
		case "size", "hash":
			if n := len(e.Outputs); n > 0 {
				decodeOutput(fs, &e.Outputs[n-1])
			}
		default:
			decodeHow(fs, &e.Began, &e.Ended, &e.State, &e.Exit)
		}
	}
}

func decodeReduce(fs *fields, rec *Record, box *recordBox) {
	r := rec.Reduce
	for fs.next() {
		switch fs.key {
		case "at":
			rec.At = fs.duration()
		case "ran":
			r.Ran = fs.value == "1"
		case "why":
			r.Why = fs.value
		case "out":
			box.output = Output{Name: fs.value}
			r.Output = &box.output
		case "size", "hash":
			if r.Output != nil {
				decodeOutput(fs, r.Output)
			}
		default:
			decodeHow(fs, &r.Began, &r.Ended, &r.State, &r.Exit)
		}
	}
}

// decodeHow reads the fields that appendEnd writes.
func decodeHow(fs *fields, began, ended *time.Duration, state *job.State, x *job.Exit) {
	switch fs.key {
	case "began":
		*began = fs.duration()
	case "ended":
		*ended = fs.duration()
	case "state":
		*state = job.State(fs.value)
	case "code":
		x.Code = fs.int()
	case "signal":
		x.Signal = fs.int()
	case "cause":
		x.Cause = job.Cause(fs.value)
	case "detail":
		x.Detail = fs.value
	case "user":
		x.User = fs.duration()
	case "sys":
		x.System = fs.duration()
	case "rss":
		x.MaxRSS = int64(fs.int())
	}
}

func decodeOutput(fs *fields, o *Output) {
	if fs.key == "size" {
		o.Size = int64(fs.int())
	} else {
		o.Hash = fs.value
	}
}

// fields walks over key=value pairs.
type fields struct {
	rest       string
	key, value string
	bad        string // the first key whose value could not be read
}

func (f *fields) next() bool {
	if len(f.rest) < 2 || f.rest[0] != ' ' {
		if f.rest != "" {
			f.fail("at the end")
		}
		return false
	}
	eq := strings.IndexByte(f.rest, '=')
	if eq < 0 {
		f.fail(f.rest[1:])
		return false
	}
	f.key = f.rest[1:eq]
	s := f.rest[eq+1:]
	if s != "" && s[0] == '"' {
		var ok bool
		if f.value, f.rest, ok = cutString(s); !ok {
			f.fail(f.key)
			return false
		}
		return true
	}
	end := strings.IndexByte(s, ' ')
	if end < 0 {
		end = len(s)
	}
	f.value, f.rest = s[:end], s[end:]
	return true
}

func (f *fields) fail(key string) {
	if f.bad == "" {
		f.bad = key
	}
}

func (f *fields) int() int {
	n, rest, ok := cutInt(f.value)
	if !ok || rest != "" {
		f.fail(f.key)
	}
	return int(n)
}

// duration reads what appendDuration writes.
func (f *fields) duration() time.Duration {
	s := f.value
	negative := s != "" && s[0] == '-'
	if negative {
		s = s[1:]
	}
	whole, rest, ok := cutInt(s)
	if !ok || whole < 0 || whole > 1<<33 {
		f.fail(f.key)
		return 0
	}
	ns := whole * 1e9
	if rest != "" {
		if rest[0] != '.' || len(rest) == 1 || len(rest) > 10 {
			f.fail(f.key)
			return 0
		}
		unit := int64(1e8)
		for _, c := range []byte(rest[1:]) {
			if c < '0' || c > '9' {
				f.fail(f.key)
				return 0
			}
			ns += int64(c-'0') * unit
			unit /= 10
		}
	}
	if negative {
		ns = -ns
	}
	return time.Duration(ns)
}

func (f *fields) clock() time.Time {
	t, err := time.Parse(time.RFC3339Nano, f.value)
	if err != nil {
		f.fail(f.key)
	}
	return t
}

// cutInt reads a decimal number at the beginning of s.
func cutInt(s string) (n int64, rest string, ok bool) {
	i := 0
	negative := s != "" && s[0] == '-'
	if negative {
		i = 1
	}
	first := i
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		if i-first == 18 { // 10^18 fits; no number of ours is larger
			return 0, s, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	if i == first {
		return 0, s, false
	}
	if negative {
		n = -n
	}
	return n, s[i:], true
}
