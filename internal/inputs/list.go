package inputs

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"muster/internal/job"
)

// entry is one input as a list gives it.
type entry struct {
	words []string
	out   string // JSON's "out", or ""
	line  int    // from 1; of a NUL list the number of the entry
}

// readList reads a list with one of the split functions.
//
// A word that names an existing file or folder, relative to the submission
// folder, becomes a File with an absolute path; other words are passed to the
// program as they are. An input that is missing should not look like such a
// word, so a first word that names nothing is refused when it has a slash in it
// (URLs and words with a leading dash apart), or when it ends in the same
// extension as a first word of the list that does name a file.
func (o reader) readList(flag, list string, split func([]byte, string) ([]entry, error)) (found, error) {
	f := found{path: list, isList: true}
	switch {
	case o.Subdir:
		return f, job.BadInputf("--subdir goes with an input folder, and %s is a list", show(list))
	case o.ExtSearch != "":
		return f, job.BadInputf("--ext-search goes with an input folder, and %s is a list", show(list))
	}
	data, err := os.ReadFile(list)
	if errors.Is(err, syscall.EISDIR) {
		return f, job.BadInputf("%s takes a list, and %s is a folder: --input takes folders", flag, show(list))
	}
	if err != nil {
		return f, job.BadInputf("list %s %s", show(list), trouble(err))
	}
	entries, err := split(data, list)
	if err != nil {
		return f, err
	}
	if len(entries) == 0 {
		return f, job.BadInputf("list %s holds no input", show(list))
	}
	f.items, err = o.resolve(entries, list)
	return f, err
}

// resolve finds out which words are files.
func (o reader) resolve(entries []entry, list string) ([]item, error) {
	items := make([]item, len(entries))
	later := map[string]job.Input{} // words behind the first repeat a lot
	exts := map[string]bool{}       // of first words that name files
	for i, e := range entries {
		in := make([]job.Input, len(e.words))
		for k, w := range e.words {
			known, ok := later[w]
			if ok && k > 0 {
				in[k] = known
				continue
			}
			word, err := o.word(w)
			if k == 0 && err != nil {
				return nil, job.BadInputf("%s: input %s %s", place(list, e.line), show(w), trouble(err))
			}
			in[k] = word
			if k > 0 {
				later[w] = word
			}
		}
		if in[0].File {
			exts[pathExt(e.words[0])] = true
		}
		items[i] = item{in: in, out: e.out, line: e.line, base: job.Task{In: in}.Name()}
	}
	for i, e := range entries {
		ext := pathExt(e.words[0])
		if !items[i].in[0].File && (looksLikePath(e.words[0]) || ext != "" && exts[ext]) {
			return nil, job.BadInputf("%s: input %s is not there", place(list, e.line), show(e.words[0]))
		}
	}
	return items, nil
}

// word tells whether a word names a file. The error says why that cannot be known.
func (o reader) word(w string) (job.Input, error) {
	if w == "" || strings.IndexByte(w, 0) >= 0 {
		return job.Input{Word: w}, nil
	}
	abs := o.paths.abs(w)
	_, err := os.Stat(abs)
	switch {
	case err == nil:
		return job.Input{Word: abs, File: true}, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR),
		errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ELOOP):
		err = nil
	}
	return job.Input{Word: w}, err
}

func looksLikePath(w string) bool {
	return strings.Contains(w, "/") && !strings.Contains(w, "://") && w[0] != '-'
}

// pathExt returns the extension of a word, "" when it has none or only digits
// (0.25 is a number).
func pathExt(w string) string {
	_, ext := job.SplitName(filepath.Base(w))
	if strings.Trim(ext, "0123456789") == "" {
		return ""
	}
	return ext
}

// splitLines reads a list of lines: words by the shell's quoting rules, of which
// the program gets all, the output last. Empty lines, and lines whose first
// character other than a blank is #, are skipped; a name that begins with # is
// written '#name' or ./#name. Lines may end as on Windows.
func splitLines(data []byte, list string) ([]entry, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if bytes.IndexByte(data, 0) >= 0 {
		return nil, job.BadInputf("list %s holds NUL bytes: --input0 takes such lists", show(list))
	}
	var entries []entry
	line := 0
	for text := range strings.SplitSeq(string(data), "\n") {
		line++
		text = strings.TrimSuffix(text, "\r")
		if strings.HasPrefix(strings.TrimLeft(text, " \t"), "#") {
			continue
		}
		words, err := job.SplitWords(text)
		if err != nil {
			return nil, job.BadInputf("%s: %w", place(list, line), err)
		}
		if len(words) == 0 {
			continue
		}
		if words[0] == "" {
			return nil, emptyWord(list, line)
		}
		entries = append(entries, entry{words: words, line: line})
	}
	return entries, nil
}

// splitNUL reads a list whose entries end with NUL, as find -print0 writes them:
// one word each, whatever stands in it. Empty entries are skipped.
func splitNUL(data []byte, list string) ([]entry, error) {
	if i := bytes.IndexByte(data, '\n'); bytes.IndexByte(data, 0) < 0 && i >= 0 && i < len(data)-1 {
		return nil, job.BadInputf("list %s holds lines, and no NUL byte: --input takes such lists", show(list))
	}
	var entries []entry
	n := 0
	for word := range strings.SplitSeq(string(data), "\x00") {
		n++
		if word != "" {
			entries = append(entries, entry{words: []string{word}, line: n})
		}
	}
	return entries, nil
}

// splitJSON reads a list of JSON objects, a line each: {"in":["a","b"],"out":"name"}.
// "out" is the output's path below the output folder, as it is; it may be left out, and
// then the name is made as for other inputs. Empty lines are skipped.
func splitJSON(data []byte, list string) ([]entry, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var entries []entry
	line := 0
	for text := range bytes.SplitSeq(data, []byte("\n")) {
		line++
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		e, err := jsonEntry(text)
		if err != nil {
			return nil, job.BadInputf("%s: %w", place(list, line), err)
		}
		if e.words[0] == "" {
			return nil, emptyWord(list, line)
		}
		e.line = line
		entries = append(entries, e)
	}
	return entries, nil
}

func jsonEntry(text []byte) (entry, error) {
	if !utf8.Valid(text) {
		return entry{}, errors.New("not UTF-8, as JSON must be: --input0 takes any name")
	}
	var v struct {
		In  []string `json:"in"`
		Out *string  `json:"out"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return entry{}, jsonTrouble(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return entry{}, errors.New("a line holds one object, and this one goes on behind it")
	}
	if len(v.In) == 0 {
		return entry{}, errors.New(`"in" is missing: write {"in":["input"],"out":"name"}`)
	}
	for _, w := range v.In {
		if strings.IndexByte(w, 0) >= 0 {
			return entry{}, errors.New("a word holds a NUL character, and no argument can")
		}
	}
	e := entry{words: v.In}
	if v.Out != nil {
		if !filepath.IsLocal(*v.Out) || path.Clean(*v.Out) != *v.Out || *v.Out == "." || strings.IndexByte(*v.Out, 0) >= 0 {
			return entry{}, errors.New(`"out" is ` + show(*v.Out) + `, and must be a name below the output folder`)
		}
		e.out = *v.Out
	}
	return e, nil
}

// jsonTrouble puts an error of the JSON package into words.
func jsonTrouble(err error) error {
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType) && wrongType.Field == "out":
		return errors.New(`"out" must be one string`)
	case errors.As(err, &wrongType):
		return errors.New(`not an object like {"in":["input"],"out":"name"}`)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the JSON object does not end on its line")
	}
	return errors.New("not right as JSON: " + strings.TrimPrefix(err.Error(), "json: "))
}

func emptyWord(list string, line int) error {
	return job.BadInputf("%s: the first word is empty, and must name an input", place(list, line))
}
