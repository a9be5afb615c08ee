package rundir

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"muster/internal/job"
)

// encodeTasks writes tasks as JSON lines.
func encodeTasks(w io.Writer, tasks []job.Task) error {
	var b []byte
	for i, t := range tasks {
		if t.Index != i+1 {
			return fmt.Errorf("task %d has index %d", i+1, t.Index)
		}
		b = append(appendTask(b[:0], t), '\n')
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func appendTask(b []byte, t job.Task) []byte {
	b = strconv.AppendInt(append(b, `{"index":`...), int64(t.Index), 10)
	b = append(b, `,"in":[`...)
	for i, in := range t.In {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"word":`...), in.Word)
		if in.File {
			b = append(b, `,"file":true`...)
		}
		if in.Alias != "" {
			b = appendString(append(b, `,"alias":`...), in.Alias)
		}
		b = append(b, '}')
	}
	b = appendString(append(b, `],"out":`...), t.Out)
	if t.OutAlias != "" {
		b = appendString(append(b, `,"out_alias":`...), t.OutAlias)
	}
	return append(b, '}')
}

// taskDecoder decodes lines. The inputs of many tasks share one slice, and
// strings share the memory of the text: 100,000 tasks are two large pieces of
// memory instead of 300,000 small ones.
type taskDecoder struct{ inputs []job.Input }

// decode reads one line. It knows only the form that appendTask writes;
// whatever else is JSON goes to encoding/json.
func (d *taskDecoder) decode(line string) (job.Task, error) {
	if t, ok := d.fast(line); ok {
		return t, nil
	}
	var t job.Task
	err := unmarshal([]byte(line), &t)
	return t, err
}

func (d *taskDecoder) fast(s string) (t job.Task, ok bool) {
	if s, ok = strings.CutPrefix(s, `{"index":`); !ok {
		return t, false
	}
	for len(s) > 0 && s[0] >= '0' && s[0] <= '9' && t.Index < 1<<40 {
		t.Index = t.Index*10 + int(s[0]-'0')
		s = s[1:]
	}
	if s, ok = strings.CutPrefix(s, `,"in":[`); !ok {
		return t, false
	}
	first := len(d.inputs)
	for strings.HasPrefix(s, "{") {
		var in job.Input
		if in, s, ok = cutInput(s); !ok {
			return t, false
		}
		if len(d.inputs) == cap(d.inputs) {
			// A new piece; the inputs of this task move, those of others stay.
			d.inputs = append(make([]job.Input, 0, max(4096, 2*(len(d.inputs)-first))), d.inputs[first:]...)
			first = 0
		}
		d.inputs = append(d.inputs, in)
		s = strings.TrimPrefix(s, ",")
	}
	t.In = d.inputs[first:len(d.inputs):len(d.inputs)]
	if s, ok = strings.CutPrefix(s, `],"out":`); !ok {
		return t, false
	}
	if t.Out, s, ok = cutString(s); !ok {
		return t, false
	}
	if rest, has := strings.CutPrefix(s, `,"out_alias":`); has {
		if t.OutAlias, s, ok = cutString(rest); !ok {
			return t, false
		}
	}
	return t, s == "}" && t.Index > 0
}

func cutInput(s string) (in job.Input, rest string, ok bool) {
	if s, ok = strings.CutPrefix(s, `{"word":`); !ok {
		return in, s, false
	}
	if in.Word, s, ok = cutString(s); !ok {
		return in, s, false
	}
	s, in.File = strings.CutPrefix(s, `,"file":true`)
	if rest, has := strings.CutPrefix(s, `,"alias":`); has {
		if in.Alias, s, ok = cutString(rest); !ok {
			return in, s, false
		}
	}
	s, ok = strings.CutPrefix(s, "}")
	return in, s, ok
}

// maxTasksFile bounds what is read into memory.
const maxTasksFile = 4 << 30

// Tasks reads all tasks, in order of their indexes.
func (r *Run) Tasks() ([]job.Task, error) {
	spec, err := r.Spec()
	if err != nil {
		return nil, err
	}
	name := filepath.Join(r.Dir, tasksFile)
	fi, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("read tasks: %w", err)
	}
	if fi.Size() > maxTasksFile {
		return nil, &DamageError{File: name, What: fmt.Sprintf("it has %d bytes, which no list of tasks has", fi.Size())}
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read tasks: %w", err)
	}
	return decodeTasks(name, data, spec.Tasks)
}

// decodeTasks decodes want lines. The tasks keep data's memory, which must not
// be changed afterwards.
func decodeTasks(name string, data []byte, want int) ([]job.Task, error) {
	text := borrow(data)
	var d taskDecoder
	tasks := make([]job.Task, 0, min(want, len(text)/20+1))
	for rest := text; rest != ""; {
		offset := int64(len(text) - len(rest))
		line, next, whole := strings.Cut(rest, "\n")
		if !whole {
			return nil, &DamageError{File: name, Offset: offset, What: "its last line is incomplete"}
		}
		t, err := d.decode(line)
		if err != nil {
			return nil, &DamageError{File: name, Offset: offset, What: err.Error()}
		}
		if t.Index != len(tasks)+1 {
			return nil, &DamageError{File: name, Offset: offset, What: fmt.Sprintf("task %d stands where task %d belongs", t.Index, len(tasks)+1)}
		}
		tasks = append(tasks, t)
		rest = next
	}
	if len(tasks) != want {
		return nil, &DamageError{File: name, Offset: int64(len(data)), What: fmt.Sprintf("it has %d tasks of %d", len(tasks), want)}
	}
	return tasks, nil
}

// Task reads one task, from 1, without keeping the others.
func (r *Run) Task(index int) (job.Task, error) {
	name := filepath.Join(r.Dir, tasksFile)
	f, err := os.Open(name)
	if err != nil {
		return job.Task{}, fmt.Errorf("read task %d: %w", index, err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	for i := 1; ; i++ {
		line, err := readLine(in, i == index)
		if err == io.EOF {
			return job.Task{}, fmt.Errorf("run %d has no task %d", r.Number, index)
		}
		if err != nil {
			return job.Task{}, fmt.Errorf("read task %d: %w", index, err)
		}
		if i < index {
			continue
		}
		var d taskDecoder
		t, err := d.decode(line)
		if err == nil && t.Index != index {
			err = fmt.Errorf("task %d stands where task %d belongs", t.Index, index)
		}
		if err != nil {
			return job.Task{}, &DamageError{File: name, What: err.Error()}
		}
		return t, nil
	}
}

// readLine reads a line of any length without its newline, and keeps it if
// told to. An incomplete last line is io.EOF.
func readLine(in *bufio.Reader, keep bool) (string, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if keep {
			line = append(line, part...)
		}
		switch err {
		case nil:
			return strings.TrimSuffix(string(line), "\n"), nil
		case bufio.ErrBufferFull:
		default:
			return "", err
		}
	}
}
