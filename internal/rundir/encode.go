package rundir

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"

	"muster/internal/job"
)

// A journal is text, a line for each record:
//
//	LENGTH CRC SEQ KIND at=SECONDS key=value …
//
// LENGTH counts the bytes from SEQ to the end of the line without its newline,
// CRC is their CRC-32C in hexadecimal, SEQ grows by one from record to record.
// Fields that are zero are left out; readers pass over keys that they do not
// know. A value that is more than a plain word is a JSON string, so that
// nothing in it can end the line.

// JournalVersion is the version of the journal's format.
const JournalVersion = 1

const (
	// maxRecord bounds LENGTH, for writers and readers.
	maxRecord = 1 << 20
	// maxText bounds each text for a person in a record; the rest is cut off.
	maxText = 16 << 10
	// maxHead is the most that LENGTH and CRC take with their blanks.
	maxHead = len("1048576 01234567 ")
	// maxLine is the longest line, with its newline.
	maxLine = maxHead + maxRecord + 1
)

// The table is constant; crc32 computes it once.
func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// appendLine appends a record's line to b. When it returns an error b is as it was.
func appendLine(b []byte, seq uint64, rec *Record) ([]byte, error) {
	start := len(b)
	b = openLine(b, seq)
	b = append(b, byte(rec.Kind))
	b = appendDuration(append(b, " at="...), rec.At)
	b, err := appendFields(b, rec)
	if err != nil {
		return b[:start], err
	}
	return sealLine(b, start)
}

// openLine begins a line with its sequence number. The head's length is known
// only when the payload is: the payload is written behind room for the longest
// head, and moved down by sealLine.
func openLine(b []byte, seq uint64) []byte {
	b = append(b, "                    "[:maxHead]...)
	return append(strconv.AppendUint(b, seq, 10), ' ')
}

// sealLine ends the line that was begun when b had start bytes.
func sealLine(b []byte, start int) ([]byte, error) {
	body := start + maxHead
	n := len(b) - body
	if n > maxRecord {
		return b[:start], fmt.Errorf("a record of %d bytes is longer than %d", n, maxRecord)
	}
	var headBuf [32]byte
	head := strconv.AppendInt(headBuf[:0], int64(n), 10)
	head = append(head, ' ')
	head = appendCRC(head, checksum(b[body:]))
	head = append(head, ' ')
	copy(b[start:], head)
	copy(b[start+len(head):], b[body:])
	return append(b[:start+len(head)+n], '\n'), nil
}

func appendCRC(b []byte, crc uint32) []byte {
	const hex = "0123456789abcdef"
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, hex[crc>>shift&15])
	}
	return b
}

func appendFields(b []byte, rec *Record) ([]byte, error) {
	switch {
	case rec.Kind == KindAgent && rec.Agent != nil:
		return appendAgent(b, rec.Agent), nil
	case rec.Kind == KindInstance && rec.Instance != nil:
		p := rec.Instance
		b = appendText(b, " id=", p.ID)
		b = appendInt(b, " lane=", int64(p.Lane))
		b = appendText(b, " phase=", string(p.Phase))
		b = appendTime(b, " began=", p.Began)
		b = appendText(b, " cause=", string(p.Cause))
		return appendText(b, " text=", clip(p.Text)), nil
	case rec.Kind == KindStart && rec.Start != nil:
		s := rec.Start
		b = appendAttempt(b, s.Task, s.Attempt, s.Lane, s.Instance)
		return appendInt(b, " pid=", int64(s.PID)), nil
	case rec.Kind == KindUp && rec.Up != nil:
		b = appendInt(b, " task=", int64(rec.Up.Task))
		return appendInt(b, " try=", int64(rec.Up.Attempt)), nil
	case rec.Kind == KindLaunch && rec.Launch != nil:
		l := rec.Launch
		b = appendText(b, " step=", string(l.Step))
		b = appendInt(b, " alive=", int64(l.Alive))
		return appendInt(b, " bytes=", l.Bytes), nil
	case rec.Kind == KindEnd && rec.End != nil:
		e := rec.End
		b = appendAttempt(b, e.Task, e.Attempt, e.Lane, e.Instance)
		b = appendEnd(b, e.Began, e.Ended, e.State, &e.Exit)
		if e.Final {
			b = append(b, " final=1"...)
		}
		for i := range e.Outputs {
			b = appendOutput(b, &e.Outputs[i])
		}
		return b, nil
	case rec.Kind == KindReduce && rec.Reduce != nil:
		r := rec.Reduce
		if r.Ran {
			b = append(b, " ran=1"...)
		}
		b = appendText(b, " why=", clip(r.Why))
		b = appendEnd(b, r.Began, r.Ended, r.State, &r.Exit)
		if r.Output != nil {
			b = appendOutput(b, r.Output)
		}
		return b, nil
	case rec.Kind == KindClock && rec.Clock != nil:
		c := rec.Clock
		b = appendText(b, " method=", string(c.Method))
		b = appendTime(b, " least=", c.Ahead.Least)
		b = appendTime(b, " most=", c.Ahead.Most)
		if c.Local {
			b = append(b, " local=1"...)
		}
		return appendText(b, " why=", clip(c.Why)), nil
	case rec.Kind == KindNote, rec.Kind == KindFinish, rec.Kind == KindSuspend:
		return appendText(b, " note=", clip(rec.Note)), nil
	}
	return b, fmt.Errorf("a journal record of kind %q lacks its content", rec.Kind)
}

func appendAgent(b []byte, a *AgentStart) []byte {
	b = appendInt(b, " version=", int64(a.Version))
	b = appendInt(b, " run=", int64(a.Run))
	b = appendInt(b, " generation=", int64(a.Generation))
	b = appendInt(b, " element=", int64(a.Element))
	b = appendInt(b, " incarnation=", int64(a.Incarnation))
	b = appendText(b, " token=", a.Token)
	b = appendText(b, " host=", a.Host)
	b = appendText(b, " job=", a.Job)
	b = appendInt(b, " pid=", int64(a.PID))
	b = appendClock(b, " began=", a.Began)
	b = appendClock(b, " submitted=", a.Submitted)
	b = appendInt(b, " lanes=", int64(a.Lanes))
	b = appendTime(b, " staged=", a.Staged)
	b = appendInt(b, " bytes=", a.StagedBytes)
	b = appendText(b, " how=", clip(a.StagedHow))
	return appendText(b, " boot=", a.Boot)
}

func appendAttempt(b []byte, task, attempt, lane int, instance string) []byte {
	b = appendInt(b, " task=", int64(task))
	b = appendInt(b, " try=", int64(attempt))
	b = appendInt(b, " lane=", int64(lane))
	return appendText(b, " inst=", instance)
}

func appendEnd(b []byte, began, ended time.Duration, state job.State, x *job.Exit) []byte {
	b = appendTime(b, " began=", began)
	b = appendTime(b, " ended=", ended)
	b = appendText(b, " state=", string(state))
	b = appendInt(b, " code=", int64(x.Code))
	b = appendInt(b, " signal=", int64(x.Signal))
	b = appendText(b, " cause=", string(x.Cause))
	b = appendText(b, " detail=", clip(x.Detail))
	b = appendTime(b, " user=", x.User)
	b = appendTime(b, " sys=", x.System)
	return appendInt(b, " rss=", x.MaxRSS)
}

func appendOutput(b []byte, o *Output) []byte {
	// The name comes first and even when it is empty: it begins the next output.
	b = appendWord(append(b, " out="...), o.Name)
	b = appendInt(b, " size=", o.Size)
	return appendText(b, " hash=", o.Hash)
}

func appendInt(b []byte, key string, n int64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(append(b, key...), n, 10)
}

func appendText(b []byte, key, s string) []byte {
	if s == "" {
		return b
	}
	return appendWord(append(b, key...), s)
}

func appendTime(b []byte, key string, d time.Duration) []byte {
	if d == 0 {
		return b
	}
	return appendDuration(append(b, key...), d)
}

func appendClock(b []byte, key string, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return t.AppendFormat(append(b, key...), time.RFC3339Nano)
}

// appendDuration writes seconds with as many decimals as are needed to give
// back every nanosecond.
func appendDuration(b []byte, d time.Duration) []byte {
	u := uint64(d)
	if d < 0 {
		b = append(b, '-')
		u = -u
	}
	b = strconv.AppendUint(b, u/1e9, 10)
	if ns := u % 1e9; ns != 0 {
		b = append(b, '.')
		for unit := uint64(1e8); ns != 0; unit /= 10 {
			b = append(b, '0'+byte(ns/unit))
			ns %= unit
		}
	}
	return b
}

// appendWord writes a plain word as it is, anything else as a JSON string.
func appendWord(b []byte, s string) []byte {
	if s == "" {
		return append(b, `""`...)
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return appendString(b, s)
		}
	}
	return append(b, s...)
}

// clip bounds a text for a person.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + " […]"
}
