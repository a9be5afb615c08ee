package agent

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// firstWords tells a listener the moment at which each program has written
// something for the first time: what it was started for has begun then, however long its
// guest took to come up. The kernel says when a file is written to, so nobody has to look.
type firstWords struct {
	t    *timing
	in   *os.File // an inotify instance
	done chan struct{}

	mu   sync.Mutex
	ears map[int32]*ear // by the kernel's number of what is watched
}

// ear is at one file, which one program at a time writes to.
type ear struct {
	of   *firstWords
	f    *os.File
	task int // that is listened for; 0: none
}

// newFirstWords begins. Where the kernel cannot tell, programs' words are told of when they end, and the error says why.
func newFirstWords(t *timing) (*firstWords, error) {
	w := &firstWords{t: t, done: make(chan struct{}), ears: map[int32]*ear{}}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		close(w.done)
		return w, fmt.Errorf("programs' first words are told of when the programs end: watching files: %w", err)
	}
	w.in = os.NewFile(uintptr(fd), "inotify")
	go w.run()
	return w, nil
}

// hearWords begins to listen, where --timing socket asks for it.
func (a *agent) hearWords() {
	if !a.timing.socket {
		return
	}
	w, err := newFirstWords(a.timing)
	if err != nil {
		a.note("%v", err)
	}
	a.words = w
}

// at puts an ear to a file. It is never removed: the file is there as long as its lane.
func (w *firstWords) at(f *os.File) *ear {
	e := &ear{of: w, f: f}
	if w == nil || w.in == nil {
		return e
	}
	raw, err := w.in.SyscallConn()
	if err != nil {
		return e
	}
	_ = raw.Control(func(fd uintptr) { // without a watch, end tells of it
		w.mu.Lock()
		defer w.mu.Unlock()
		if wd, err := unix.InotifyAddWatch(int(fd), f.Name(), unix.IN_MODIFY); err == nil {
			w.ears[int32(wd)] = e
		}
	})
	return e
}

// close ends the watching.
func (w *firstWords) close() {
	if w == nil {
		return
	}
	if w.in != nil {
		w.in.Close()
	}
	<-w.done
}

// run hears of every file that is written to.
func (w *firstWords) run() {
	defer close(w.done)
	buf := make([]byte, 64*unix.SizeofInotifyEvent)
	for {
		n, err := w.in.Read(buf)
		if err != nil {
			return // closed
		}
		w.mu.Lock()
		for at := 0; at+unix.SizeofInotifyEvent <= n; {
			if e := w.ears[int32(binary.NativeEndian.Uint32(buf[at:]))]; e != nil {
				e.hear()
			}
			at += unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[at+12:])) // and a name, of which a file's own watch has none
		}
		w.mu.Unlock()
	}
}

// listen waits for the first word of a task's program, which is about to be started.
func (e *ear) listen(task int) {
	if e.of == nil {
		return
	}
	e.of.mu.Lock()
	defer e.of.mu.Unlock()
	e.task = task
}

// end says that the program has ended: what it has written is there.
func (e *ear) end() {
	if e.of == nil {
		return
	}
	e.of.mu.Lock()
	defer e.of.mu.Unlock()
	e.hear()
	e.task = 0
}

// hear tells of the task's program if there is something of it in the file: emptying a file for the next program
// counts as writing to it.
func (e *ear) hear() {
	if e.task == 0 {
		return
	}
	if st, err := e.f.Stat(); err != nil || st.Size() == 0 {
		return
	}
	e.of.t.said(e.task)
	e.task = 0
}
