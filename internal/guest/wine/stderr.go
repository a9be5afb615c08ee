package wine

import (
	"io"
	"os"
	"strconv"

	"muster/internal/guest/wine/exitcode"
)

// stderr is where a program's standard error can be read after its end, for what Wine has to
// say of it. Where the file has a name, that is all that is kept of it: thousands of
// programs may be alive, and none is to cost a descriptor.
type stderr struct {
	name string
	file *os.File // of what has no name (any more); nil: it has one, or is no file
	from int64    // where this program's part begins
}

// stderrOf remembers the file behind a stream, from its present end on. The caller may
// close its own, and what other programs wrote before does not count.
func stderrOf(stream *os.File) stderr {
	if stream == nil {
		return stderr{}
	}
	st, err := stream.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return stderr{}
	}
	if named, err := os.Stat(stream.Name()); err == nil && os.SameFile(st, named) {
		return stderr{name: stream.Name(), from: st.Size()}
	}
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(int(stream.Fd())))
	if err != nil {
		return stderr{}
	}
	return stderr{file: f, from: st.Size()}
}

// close lets go of it.
func (s *stderr) close() {
	if s.file != nil {
		s.file.Close()
	}
}

// tail is the end of what the program has written.
func (s *stderr) tail() []byte {
	f := s.file
	if s.name != "" {
		st, err := os.Stat(s.name)
		if err != nil || st.Size() <= s.from {
			return nil
		}
		if f, err = os.Open(s.name); err != nil {
			return nil
		}
		defer f.Close()
	}
	if f == nil {
		return nil
	}
	st, err := f.Stat()
	if err != nil {
		return nil
	}
	from := max(s.from, st.Size()-exitcode.TailLimit)
	b, err := io.ReadAll(io.NewSectionReader(f, from, exitcode.TailLimit))
	if err != nil {
		return nil // the code alone has to tell
	}
	return b
}
