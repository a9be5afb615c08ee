package rundir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/internal/clock"
	"muster/internal/job"
)

// anyText has what could break a line, bytes that are no UTF-8 included.
func anyText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.Just(""), rapid.String(),
		rapid.StringOf(rapid.SampledFrom([]rune("a=\" \\\n\r\t\x00\x7f\u2028é𐀀\ufffd\U0010ff80"))),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
}

func anyDuration() *rapid.Generator[time.Duration] {
	return rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.Int64Range(-1e18, 1e18).Draw(t, "ns"))
	})
}

func anyInt(t *rapid.T, name string) int { return rapid.IntRange(-1, 1e15).Draw(t, name) }

func anyExit(t *rapid.T) job.Exit {
	return job.Exit{Code: anyInt(t, "code"), Signal: anyInt(t, "signal"), Cause: job.Cause(anyText().Draw(t, "cause")),
		Detail: anyText().Draw(t, "detail"), User: anyDuration().Draw(t, "user"), System: anyDuration().Draw(t, "sys"), MaxRSS: int64(anyInt(t, "rss"))}
}

func anyOutput(t *rapid.T) Output {
	return Output{Name: anyText().Draw(t, "name"), Size: int64(anyInt(t, "size")), Hash: anyText().Draw(t, "hash")}
}

func anyRecord() *rapid.Generator[Record] {
	return rapid.Custom(func(t *rapid.T) Record {
		r := Record{At: anyDuration().Draw(t, "at")}
		r.Kind = rapid.SampledFrom([]Kind{KindAgent, KindInstance, KindStart, KindUp, KindLaunch, KindEnd, KindReduce, KindNote, KindClock, KindSuspend, KindFinish}).Draw(t, "kind")
		switch r.Kind {
		case KindAgent:
			wall := func(name string) time.Time {
				s := rapid.Int64Range(0, 4e9).Draw(t, name)
				return time.Unix(s, s%1e9).UTC()
			}
			r.Agent = &AgentStart{Version: JournalVersion, Run: anyInt(t, "run"), Generation: 1, Element: 2, Incarnation: 3,
				Token: anyText().Draw(t, "token"), Host: anyText().Draw(t, "host"), PID: anyInt(t, "pid"),
				Began: wall("began"), Submitted: wall("submitted"), Lanes: 4, Staged: anyDuration().Draw(t, "staged"),
				StagedBytes: int64(anyInt(t, "bytes")), StagedHow: anyText().Draw(t, "how"), Boot: anyText().Draw(t, "boot")}
		case KindInstance:
			r.Instance = &InstancePhase{ID: anyText().Draw(t, "id"), Lane: anyInt(t, "lane"), Phase: job.PhaseBooted,
				Began: anyDuration().Draw(t, "began"), Cause: job.Cause(anyText().Draw(t, "cause")), Text: anyText().Draw(t, "text")}
		case KindStart:
			r.Start = &TaskStart{Task: anyInt(t, "task"), Attempt: anyInt(t, "try"), Lane: anyInt(t, "lane"), Instance: anyText().Draw(t, "inst"), PID: anyInt(t, "pid")}
		case KindUp:
			r.Up = &TaskUp{Task: anyInt(t, "task"), Attempt: anyInt(t, "try")}
		case KindLaunch:
			r.Launch = &LaunchStep{Step: Step(anyText().Draw(t, "step")), Alive: anyInt(t, "alive"), Bytes: int64(anyInt(t, "bytes"))}
		case KindEnd:
			r.End = &TaskEnd{Task: anyInt(t, "task"), Attempt: anyInt(t, "try"), Lane: anyInt(t, "lane"), Instance: anyText().Draw(t, "inst"),
				Began: anyDuration().Draw(t, "began"), Ended: anyDuration().Draw(t, "ended"), State: job.State(anyText().Draw(t, "state")),
				Exit: anyExit(t), Final: rapid.Bool().Draw(t, "final")}
			for range rapid.IntRange(0, 3).Draw(t, "outputs") {
				r.End.Outputs = append(r.End.Outputs, anyOutput(t))
			}
		case KindReduce:
			r.Reduce = &ReduceEnd{Ran: rapid.Bool().Draw(t, "ran"), Why: anyText().Draw(t, "why"), State: job.Failed, Exit: anyExit(t)}
			if rapid.Bool().Draw(t, "out") {
				o := anyOutput(t)
				r.Reduce.Output = &o
			}
		case KindClock:
			r.Clock = &clock.Reading{Method: clock.Method(anyText().Draw(t, "method")), Why: anyText().Draw(t, "why"), Local: rapid.Bool().Draw(t, "local"),
				Ahead: clock.Range{Least: anyDuration().Draw(t, "least"), Most: anyDuration().Draw(t, "most")}}
		default:
			r.Note = anyText().Draw(t, "note")
		}
		return r
	})
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		recs := rapid.SliceOfN(anyRecord(), 1, 5).Draw(t, "records")
		var b []byte
		for i := range recs {
			var err error
			if b, err = appendLine(b, uint64(i+1), &recs[i]); err != nil {
				t.Fatal(err)
			}
		}
		if lines := bytes.Count(b, []byte("\n")); lines != len(recs) {
			t.Fatalf("%d lines for %d records:\n%s", lines, len(recs), b)
		}
		var got []Record
		torn, err := DecodeJournal(bytes.NewReader(b), "journal", func(r Record) error { got = append(got, r); return nil })
		if err != nil || torn != nil {
			t.Fatal(err, torn)
		}
		if !reflect.DeepEqual(got, recs) {
			t.Fatalf("read %+v\nwant %+v\nfrom\n%s", got, recs, b)
		}
	})
}

func TestLineIsReadable(t *testing.T) {
	rec := endOf(12, 2, job.Completed, true)
	rec.End.Outputs[0].Name = "a name\nof two lines"
	rec.At = 1500 * time.Millisecond
	line, err := appendLine(nil, 7, &rec)
	if err != nil {
		t.Fatal(err)
	}
	const want = `124 30d88dd4 7 E at=1.5 task=12 try=2 inst=lane0 began=1 ended=2 state=COMPLETED final=1 out="a name\nof two lines" size=7 hash=sha256:00` + "\n"
	if string(line) != want {
		t.Errorf("got  %swant %s", line, want)
	}
}

func TestRecordWithoutContentIsRefused(t *testing.T) {
	for _, kind := range []Kind{KindAgent, KindInstance, KindStart, KindUp, KindLaunch, KindEnd, KindReduce, KindClock, 0} {
		if b, err := appendLine([]byte("x"), 1, &Record{Kind: kind}); err == nil || string(b) != "x" {
			t.Errorf("kind %q: %q, %v", kind, b, err)
		}
	}
	long := endOf(1, 1, job.Completed, true)
	long.End.Outputs[0].Name = strings.Repeat("x", maxRecord)
	if b, err := appendLine([]byte("x"), 1, &long); err == nil || string(b) != "x" {
		t.Errorf("too long: %d bytes, %v", len(b), err)
	}
}

// numbered gives a journal of n notes and where each line begins.
func numbered(t testing.TB, n int) (data []byte, starts []int) {
	t.Helper()
	for i := 1; i <= n; i++ {
		starts = append(starts, len(data))
		var err error
		if data, err = appendLine(data, uint64(i), &Record{Kind: KindNote, Note: fmt.Sprintf("n%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	return data, append(starts, len(data))
}

func readNotes(data []byte) (got string, torn *Torn, err error) {
	torn, err = DecodeJournal(bytes.NewReader(data), "j", func(r Record) error { got += r.Note; return nil })
	return got, torn, err
}

func TestTruncationAtEveryByte(t *testing.T) {
	data, starts := numbered(t, 4)
	for cut := range len(data) + 1 {
		whole, want := 0, ""
		for whole+1 < len(starts) && starts[whole+1] <= cut {
			whole++
			want += fmt.Sprintf("n%d", whole)
		}
		got, torn, err := readNotes(data[:cut])
		if err != nil || got != want {
			t.Errorf("cut at %d: read %q, want %q; %v", cut, got, want, err)
		}
		if isTorn := cut != starts[whole]; (torn != nil) != isTorn {
			t.Errorf("cut at %d: torn %v", cut, torn)
		} else if isTorn && torn.Offset != int64(starts[whole]) {
			t.Errorf("cut at %d: torn from byte %d, want %d", cut, torn.Offset, starts[whole])
		}
	}
}

// One wrong byte costs at most the record that it is in, and never silently.
func TestWrongByteIsTold(t *testing.T) {
	data, starts := numbered(t, 4)
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.IntRange(0, len(data)-1).Draw(t, "at")
		bad := bytes.Clone(data)
		bad[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "xor"))
		hit := 0
		for starts[hit+1] <= at {
			hit++
		}
		got, torn, err := readNotes(bad)
		var damage *DamageError
		if err != nil && !errors.As(err, &damage) {
			t.Fatal(err)
		}
		if damage == nil && torn == nil {
			t.Fatalf("byte %d: nothing is told, read %q", at, got)
		}
		if torn != nil && damage == nil && hit != 3 {
			t.Fatalf("byte %d of record %d is taken for a torn end", at, hit+1)
		}
		for i := range 4 {
			if i != hit && !strings.Contains(got, fmt.Sprintf("n%d", i+1)) {
				t.Fatalf("byte %d of record %d: record %d is lost, read %q (%v)", at, hit+1, i+1, got, err)
			}
		}
	})
}

func TestDamageTellsWhatIsMissing(t *testing.T) {
	data, starts := numbered(t, 6)
	bad := bytes.Clone(data)
	bad[starts[2]+20] ^= 4
	bad[starts[3]+20] ^= 4
	got, torn, err := readNotes(bad)
	var damage *DamageError
	if !errors.As(err, &damage) {
		t.Fatal(err)
	}
	if got != "n1n2n5n6" || torn != nil || damage.Offset != int64(starts[2]) || damage.Missing != 2 || damage.File != "j" {
		t.Errorf("read %q, torn %v, %+v", got, torn, damage)
	}
	// A whole line that is not there is noticed by the numbers.
	got, _, err = readNotes(append(bytes.Clone(data[:starts[1]]), data[starts[2]:]...))
	if !errors.As(err, &damage) || got != "n1n3n4n5n6" || damage.Missing != 1 {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestZerosAtTheEndAreTorn(t *testing.T) {
	data, _ := numbered(t, 2)
	got, torn, err := readNotes(append(data, make([]byte, 5000)...))
	if err != nil || torn == nil || got != "n1n2" {
		t.Errorf("read %q, torn %v, %v", got, torn, err)
	}
}

func TestLengthsAreBoundedBeforeMemoryIsTaken(t *testing.T) {
	data, _ := numbered(t, 1)
	for _, length := range []string{"1152921504606846976", "99999999999999999999999999", "1048577", "0", "-1"} {
		in := append(bytes.Clone(data), (length + " 00000000 2 N note=x\n" + string(data))...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := readNotes(in)
		runtime.ReadMemStats(&after)
		var damage *DamageError
		if !errors.As(err, &damage) || damage.Offset != int64(len(data)) {
			t.Errorf("length %s: %v", length, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
			t.Errorf("length %s: took %d bytes", length, took)
		}
	}
}

// slowReader gives a byte at a time.
type slowReader struct{ data []byte }

func (r *slowReader) Read(b []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	b[0], r.data = r.data[0], r.data[1:]
	return 1, nil
}

func TestLongestRecordByBytes(t *testing.T) {
	rec := endOf(1, 1, job.Completed, true)
	rec.End.Outputs[0].Name = strings.Repeat("x", maxRecord-200)
	data, err := appendLine(nil, 1, &rec)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	torn, err := DecodeJournal(&slowReader{data}, "j", func(r Record) error { n = len(r.End.Outputs[0].Name); return nil })
	if n != maxRecord-200 || torn != nil || err != nil {
		t.Error(n, torn, err)
	}
}

func TestNewerJournalIsRefused(t *testing.T) {
	data, err := appendLine(nil, 1, &Record{Kind: KindAgent, Agent: &AgentStart{Version: JournalVersion + 1}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := readNotes(data); !errors.Is(err, ErrNewer) {
		t.Error(err)
	}
}

func TestUnknownKindsAndFieldsArePassedOver(t *testing.T) {
	var data []byte
	for i, payload := range []string{`N note=a later="x y" z=1`, `Q what=ever`, `N note=b`} {
		start := len(data)
		data = append(openLine(data, uint64(i+1)), payload...)
		var err error
		if data, err = sealLine(data, start); err != nil {
			t.Fatal(err)
		}
	}
	if got, torn, err := readNotes(data); got != "ab" || torn != nil || err != nil {
		t.Errorf("%q, %v, %v", got, torn, err)
	}
}

func TestDurations(t *testing.T) {
	for _, d := range []time.Duration{0, 1, -1, 1e9, 1e9 + 1, 123456789, -2500 * time.Millisecond, math.MaxInt64 / 2} {
		f := fields{key: "x", value: string(appendDuration(nil, d))}
		if got := f.duration(); got != d || f.bad != "" {
			t.Errorf("%d came back as %d through %s", d, got, f.value)
		}
	}
	for _, bad := range []string{"", ".", "1.", "1.0000000001", "1x", "1.x", "--1", "99999999999"} {
		f := fields{key: "x", value: bad}
		if f.duration(); f.bad == "" {
			t.Errorf("%q is taken for a duration", bad)
		}
	}
}

func FuzzDecodeJournal(f *testing.F) {
	data, _ := numbered(f, 3)
	f.Add(data)
	f.Add(data[:len(data)-5])
	f.Add(append(data, make([]byte, 100)...))
	f.Add([]byte("1152921504606846976 00000000 1 N\n"))
	f.Add([]byte("18 deadbeef 1 E at=1 out=\"\\u\n"))
	rec := endOf(3, 1, job.Failed, true)
	if line, err := appendLine(nil, 1, &rec); err == nil {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var kept []Record
		torn, err := DecodeJournal(bytes.NewReader(data), "j", func(r Record) error { kept = append(kept, r); return nil })
		var damage *DamageError
		if err != nil && !errors.As(err, &damage) && !errors.Is(err, ErrNewer) {
			t.Fatal(err)
		}
		if torn != nil && torn.Offset >= int64(len(data)) {
			t.Fatalf("torn behind the end: %v", torn)
		}
		// What was read can be written, and read again.
		var again []byte
		for i := range kept {
			r := kept[i]
			if r.Agent == nil && r.Instance == nil && r.Start == nil && r.End == nil && r.Reduce == nil {
				r = Record{Kind: KindNote, At: r.At, Note: r.Note}
			}
			var err error
			if again, err = appendLine(again, uint64(i+1), &r); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		if _, err := DecodeJournal(bytes.NewReader(again), "again", func(Record) error { n++; return nil }); err != nil || n != len(kept) {
			t.Fatalf("%d of %d records, %v", n, len(kept), err)
		}
	})
}

func FuzzPayload(f *testing.F) {
	rec := endOf(3, 1, job.Completed, true)
	line, err := appendLine(nil, 1, &rec)
	if err != nil {
		f.Fatal(err)
	}
	l := parseLine(line)
	f.Add(string(line[l.head : l.total-1]))
	f.Add(`1 A at=0 version=1 host="a\udc80b" began=2026-11-21T06:00:00Z`)
	f.Add(`2 I id=lane0 lane=-1 phase=booted began=0.5 text="x"`)
	f.Fuzz(func(t *testing.T, payload string) {
		var rec Record
		if _, err := decodePayload(payload, &rec, new(recordBox)); err == nil && rec.Kind == 0 && len(payload) > 4 && payload[2] != 0 && strings.IndexByte(payload, 0) < 0 {
			t.Fatalf("%q has no kind", payload)
		}
	})
}
