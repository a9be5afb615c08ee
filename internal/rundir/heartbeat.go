package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A heartbeat is a file with one line, rewritten in place:
//
//	COUNT alive|ended lock|free PID HOST
//
// COUNT grows with every beat. Readers on other hosts judge by its growing, by
// their own clock; readers on the same host also by the lock that the process
// holds, which the kernel takes away when it ends.
const beatEvery = 5 * time.Second

// HeartPatience is after how long without a beat a process on another host is
// believed to be gone.
const HeartPatience = 60 * time.Second

// Holder says whose heartbeat it is.
type Holder struct {
	Host  string
	PID   int
	Count uint64
	Ended bool // it said so itself
	Lock  bool // it held a lock
}

// Heart is a heartbeat of this process.
type Heart struct {
	file   *os.File
	holder Holder
	next   string // the conductor that would take over; "" for agents
	stop   chan struct{}
	ended  chan struct{}
	once   sync.Once

	mu   sync.Mutex
	err  error
	last time.Time     // of the last beat that could be written
	gap  time.Duration // the longest time between two of them, since Gap was asked
}

// NewHeart begins the heartbeat of an agent; it belongs right behind NewJournal,
// since an agent without one is soon believed to be gone. host and pid are for readers; pid
// may be 0. A goroutine beats until Close.
func (r *Run) NewHeart(id AgentID, host string, pid int) (*Heart, error) {
	return newHeart(r.path(heartbeatDir, id.String()), host, pid, "")
}

func newHeart(name, host string, pid int, next string) (*Heart, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin a heartbeat: %w", err)
	}
	h := &Heart{file: f, holder: Holder{Host: host, PID: pid}, next: next, stop: make(chan struct{}), ended: make(chan struct{})}
	h.holder.Lock = tryLock(f)
	if err := h.beat(); err != nil {
		return nil, errors.Join(fmt.Errorf("begin a heartbeat: %w", err), f.Close(), os.Remove(name))
	}
	go h.run()
	return h, nil
}

// tryLock takes the lock; a reader may hold it for a moment.
func tryLock(f *os.File) bool {
	for range 50 {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return true
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func (h *Heart) run() {
	defer close(h.ended)
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			err := h.beat()
			h.mu.Lock()
			h.err = err
			h.mu.Unlock()
		case <-h.stop:
			return
		}
	}
}

func (h *Heart) beat() error {
	h.holder.Count++
	if _, err := h.file.WriteAt(h.holder.line(), 0); err != nil {
		return err
	}
	if err := h.file.Sync(); err != nil { // else other hosts may see it half a minute late
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if !h.last.IsZero() {
		h.gap = max(h.gap, now.Sub(h.last))
	}
	h.last = now
	return nil
}

// Gap is the longest time without a beat since it was last asked for, that which is
// going on included. One that comes near HeartPatience means that others may have believed this
// process to be gone: it was stopped, or cut off from the run directory.
func (h *Heart) Gap() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	gap := max(h.gap, time.Since(h.last))
	h.gap = 0
	return gap
}

// line has the same length for every count.
func (h Holder) line() []byte {
	life, lock := "alive", "free"
	if h.Ended {
		life = "ended"
	}
	if h.Lock {
		lock = "lock"
	}
	b := fmt.Appendf(nil, "%020d %s %s %d ", h.Count, life, lock, h.PID)
	return append(appendWord(b, h.Host), '\n')
}

// Err is nil, or why the last beat could not be written.
func (h *Heart) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// Close says that the process has ended what it did, and stops beating. Further
// calls do nothing.
func (h *Heart) Close() error {
	var err error
	h.once.Do(func() {
		close(h.stop)
		<-h.ended
		h.holder.Ended = true
		err = errors.Join(h.beat(), h.file.Close())
	})
	if err != nil {
		return fmt.Errorf("end a heartbeat: %w", err)
	}
	return nil
}

// Superseded reports whether another process conducts the run by now: this one
// was stopped for so long that it was believed to be gone. It must then do
// nothing more.
func (h *Heart) Superseded() bool {
	if h.next == "" {
		return false
	}
	_, err := os.Lstat(h.next)
	return err == nil
}

// Newer tells the newest incarnation of id's element that has begun after id did,
// and who that is. It goes by heartbeats, which agents alone have: what a keeper
// records behind a dead agent has a journal only.
func (r *Run) Newer(id AgentID) (newer AgentID, by Holder, found bool, err error) {
	names, err := readNames(r.path(heartbeatDir, ""))
	if err != nil {
		return id, by, false, fmt.Errorf("look for newer agents: %w", err)
	}
	newer = id
	for _, name := range names {
		ns, ok := parseNumbers(name, 3, 3)
		if ok && ns[0] == id.Generation && ns[1] == id.Element && ns[2] > newer.Incarnation {
			newer.Incarnation, found = ns[2], true
		}
	}
	if found {
		// One that is half written names nobody yet.
		by, err = readHolder(r.path(heartbeatDir, newer.String()))
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return newer, by, found, err
}

// readHolder reads a heartbeat. A file that is empty or half written is
// fs.ErrNotExist: there is no news.
func readHolder(name string) (Holder, error) {
	data, err := readFile(name)
	if err != nil {
		return Holder{}, err
	}
	h, ok := parseHolder(string(data))
	if !ok {
		return Holder{}, fmt.Errorf("heartbeat %s: %w", name, fs.ErrNotExist)
	}
	return h, nil
}

func parseHolder(text string) (h Holder, ok bool) {
	line, _, whole := strings.Cut(text, "\n")
	parts := strings.SplitN(line, " ", 5)
	if !whole || len(parts) != 5 {
		return h, false
	}
	count, err1 := strconv.ParseUint(parts[0], 10, 64)
	pid, err2 := strconv.Atoi(parts[3])
	h = Holder{Count: count, PID: pid, Host: parts[4], Ended: parts[1] == "ended", Lock: parts[2] == "lock"}
	if strings.HasPrefix(h.Host, `"`) {
		host, rest, ok := cutString(h.Host)
		if !ok || rest != "" {
			return h, false
		}
		h.Host = host
	}
	return h, err1 == nil && err2 == nil
}

// lockIsFree reports whether nobody holds the lock of a heartbeat; false also
// when that cannot be known.
func lockIsFree(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil
}

// life is what is known of the holder of a heartbeat.
type life int

const (
	lifeMaybe life = iota // it has been quiet, but not for long enough
	lifeSure
	lifeGone
)

// watched is what a reader remembers of a heartbeat.
type watched struct {
	since time.Time // when it moved last, or was first looked at; this reader's clock
	count uint64
}

func (w *watched) look(name, host string, patience time.Duration) (Holder, life) {
	h, err := readHolder(name)
	if err != nil {
		if time.Since(w.since) > patience {
			return h, lifeGone
		}
		return h, lifeMaybe
	}
	if h.Ended {
		return h, lifeGone
	}
	if h.Host == host && h.Lock {
		if lockIsFree(name) {
			return h, lifeGone
		}
		return h, lifeSure
	}
	moved := w.count != 0 && h.Count != w.count
	if h.Count != w.count {
		w.count, w.since = h.Count, time.Now()
	}
	switch {
	case moved:
		return h, lifeSure
	case time.Since(w.since) > patience:
		return h, lifeGone
	}
	return h, lifeMaybe
}

// Watch judges whether agents are alive, by their heartbeats. It is to be kept
// from poll to poll: what it knows of other hosts is what it has seen move. Its
// methods must not be called by several goroutines at once.
type Watch struct {
	run      *Run
	host     string
	patience time.Duration
	seen     map[AgentID]*watched
}

// NewWatch makes a Watch. host is the name of this machine, as agents give
// theirs; patience 0 is HeartPatience.
func (r *Run) NewWatch(host string, patience time.Duration) *Watch {
	if patience <= 0 {
		patience = HeartPatience
	}
	return &Watch{run: r, host: host, patience: patience, seen: map[AgentID]*watched{}}
}

// Alive is for LoadOptions.Alive. An agent that cannot be judged yet is alive.
func (w *Watch) Alive(a AgentState) bool {
	alive, _ := w.Judge(a)
	return alive
}

// Gone reports whether the newest agent of an element is gone. An element of which none has
// begun is not.
func (w *Watch) Gone(gen, element int) (bool, error) {
	newest, _, found, err := w.run.Newer(AgentID{Generation: gen, Element: element})
	if err != nil || !found {
		return false, err
	}
	return !w.Alive(AgentState{AgentStart: AgentStart{Began: time.Now()}, ID: newest}), nil
}

// Judge is Alive; sure is false as long as that is only not known better.
func (w *Watch) Judge(a AgentState) (alive, sure bool) {
	s := w.seen[a.ID]
	if s == nil {
		s = &watched{since: time.Now()}
		w.seen[a.ID] = s
	}
	name := w.run.path(heartbeatDir, a.ID.String())
	if a.Host == w.host && time.Since(a.Began) > agentGrace {
		// Its clock is ours, and an agent begins to beat as soon as it has a journal.
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return false, true
		}
	}
	_, life := s.look(name, w.host, w.patience)
	return life != lifeGone, life != lifeMaybe
}

// agentGrace is within which time of its beginning an agent has a heartbeat.
const agentGrace = 10 * time.Second
