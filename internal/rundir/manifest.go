package rundir

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"

	"muster/internal/job"
)

// ManifestVersion is the version of the manifest's form.
const ManifestVersion = 1

// ManifestTask is what a reducer is told of one task of the map.
type ManifestTask struct {
	Index   int       `json:"index"`
	Inputs  []string  `json:"inputs"`
	Outputs []Output  `json:"outputs"` // published ones; names are paths below the output folder
	State   job.State `json:"state"`
	Exit    string    `json:"exit"` // code:signal
	Cause   job.Cause `json:"cause,omitempty"`
}

// Manifest is how the manifest begins.
type Manifest struct {
	Version int    `json:"version"`
	Run     int    `json:"run"`
	Output  string `json:"output"` // the output folder
}

// WriteManifest writes manifest.json whole or not at all: one JSON object, a
// task to a line.
//
//	{"version":1,"run":12,"output":"/home/ann/out","tasks":[
//	{"index":1,"inputs":["/home/ann/in/a"],"outputs":[{"name":"a.out","size":12,"hash":"sha256:…"}],"state":"COMPLETED","exit":"0:0"},
//	…
//	]}
//
// Bytes of names that are not UTF-8 stand as \udc80 … \udcff.
func (r *Run) WriteManifest(output string, tasks iter.Seq[ManifestTask]) error {
	return writeFile(r.ManifestPath(), func(w io.Writer) error {
		b := appendManifest(nil, Manifest{Version: ManifestVersion, Run: r.Number, Output: output})
		separator := "\n"
		for t := range tasks {
			b = append(b, separator...)
			b = appendManifestTask(b, t)
			if _, err := w.Write(b); err != nil {
				return err
			}
			b, separator = b[:0], ",\n"
		}
		_, err := w.Write(append(b, "\n]}\n"...))
		return err
	})
}

func appendManifest(b []byte, m Manifest) []byte {
	b = strconv.AppendInt(append(b, `{"version":`...), int64(m.Version), 10)
	b = strconv.AppendInt(append(b, `,"run":`...), int64(m.Run), 10)
	b = appendString(append(b, `,"output":`...), m.Output)
	return append(b, `,"tasks":[`...)
}

func appendManifestTask(b []byte, t ManifestTask) []byte {
	b = strconv.AppendInt(append(b, `{"index":`...), int64(t.Index), 10)
	b = append(b, `,"inputs":[`...)
	for i, in := range t.Inputs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, in)
	}
	b = append(b, `],"outputs":[`...)
	for i, o := range t.Outputs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"name":`...), o.Name)
		b = strconv.AppendInt(append(b, `,"size":`...), o.Size, 10)
		if o.Hash != "" {
			b = appendString(append(b, `,"hash":`...), o.Hash)
		}
		b = append(b, '}')
	}
	b = appendString(append(b, `],"state":`...), string(t.State))
	b = appendString(append(b, `,"exit":`...), t.Exit)
	if t.Cause != "" {
		b = appendString(append(b, `,"cause":`...), string(t.Cause))
	}
	return append(b, '}')
}

// ReadManifest calls fn for each task of the manifest, as it reads them.
func (r *Run) ReadManifest(fn func(ManifestTask) error) (Manifest, error) {
	var m Manifest
	name := r.ManifestPath()
	f, err := os.Open(name)
	if err != nil {
		return m, fmt.Errorf("read the manifest: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	damage := func(what string) error { return &DamageError{File: name, What: what} }
	line, err := readLine(in, true)
	if err != nil {
		return m, damage("its first line is incomplete")
	}
	head, ok := strings.CutSuffix(line, `,"tasks":[`)
	if !ok || unmarshal([]byte(head+"}"), &m) != nil {
		return m, damage("it does not begin as a manifest does")
	}
	if m.Version > ManifestVersion {
		return m, fmt.Errorf("%w: %s has format %d, this muster knows %d", ErrNewer, name, m.Version, ManifestVersion)
	}
	for {
		line, err := readLine(in, true)
		if err != nil {
			return m, damage("it does not end as a manifest does")
		}
		if line == "]}" {
			return m, nil
		}
		if line == "" {
			continue
		}
		var t ManifestTask
		if err := unmarshal([]byte(strings.TrimSuffix(line, ",")), &t); err != nil {
			return m, damage(err.Error())
		}
		if err := fn(t); err != nil {
			return m, err
		}
	}
}
