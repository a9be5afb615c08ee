package wine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"muster/internal/guest"
	"muster/internal/proc"
)

// server is one wineserver with its prefix and its holder. Its states:
//
//	(clone) → starting → ready → dead
//	             └───────────────→ dead
//
// It is dead when the wineserver or the holder has ended. What runs under a dead
// server is killed at once: programs that sleep would not notice its end.
type server struct {
	table      *proc.Table
	undertaker *undertaker

	wine    Install
	holds   string // the loader that starts the holder
	home    home
	id      string // PLACE.N
	user    string
	profile profile // of its user
	lean    bool
	marks   []string // of the instance, and the server's own
	cpus    []int    // nil: all

	wineserver, holder *proc.Child

	load   atomic.Int64 // programs running
	number atomic.Int64 // programs started
	gone   atomic.Bool  // it is being taken down
}

// start starts the wineserver and boots it, and waits until programs can be
// started. Streams are /dev/null, so that no program's are kept open by services.
func (s *server) start(ctx context.Context) error {
	if err := s.startServer(ctx); err != nil {
		return err
	}
	ready, theirs, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making the holder's pipe: %w", err)
	}
	defer ready.Close()
	var page *os.File // nil after a full boot, which has written it
	if s.lean {
		if page, err = pageForHolder(); err != nil {
			theirs.Close()
			return err
		}
		defer page.Close()
	}
	// Lean: the first start would boot Windows' services, were it not suppressed.
	// Full: this start boots them, and the holder runs when that is done.
	s.holder, err = startHumble(s.table, proc.Cmd{
		Path: s.holds, Args: []string{s.holds, `C:\windows\system32\` + holderName},
		Dir: s.home.prefix(), Env: s.environ("-all", nil),
		Stdin: page, Stdout: theirs, CPUs: s.cpus, Limits: noCore,
	})
	theirs.Close()
	if err != nil {
		return fmt.Errorf("starting the holder: %w", err)
	}
	result := make(chan error, 1)
	go func() {
		var b [1]byte
		_, err := ready.Read(b[:])
		result <- err
	}()
	select {
	case err := <-result:
		if err != nil {
			return errors.New("the holder ended before Windows was up")
		}
		return nil
	case <-s.wineserver.Done():
		err = errors.New("wineserver ended before it was ready")
	case <-s.holder.Done():
		err = errors.New("the holder ended before Windows was up")
	case <-ctx.Done():
		err = fmt.Errorf("booting Windows took too long: %w", ctx.Err())
	}
	ready.SetReadDeadline(time.Now()) // ends the reader
	<-result
	return err
}

// startServer starts the wineserver and waits for its socket; a client that
// found none would start a server of its own.
func (s *server) startServer(ctx context.Context) error {
	limits := append([]proc.Limit{}, noCore...)
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		limits = append(limits, proc.Limit{Resource: unix.RLIMIT_NOFILE, Value: files.Max})
	}
	cmd := proc.Cmd{
		// In the foreground, and for ever: its end is muster's business.
		Path: s.wine.Server, Args: []string{s.wine.Server, "-f", "-p"},
		Dir: s.home.prefix(), Env: s.environ("-all", nil), CPUs: s.cpus, Limits: limits,
	}
	var err error
	if s.wineserver, err = startHumble(s.table, cmd); err != nil {
		return fmt.Errorf("starting wineserver: %w", err)
	}
	for wait := 500 * time.Microsecond; ; wait = min(2*wait, 10*time.Millisecond) {
		if s.socket() {
			return nil
		}
		select {
		case <-s.wineserver.Done():
			return errors.New("wineserver ended before it was ready")
		case <-ctx.Done():
			return fmt.Errorf("wineserver was not ready in time: %w", ctx.Err())
		case <-time.After(wait):
		}
	}
}

// socket reports whether the server's socket is there: Debian's lies below
// TMPDIR, upstream's in /tmp whatever TMPDIR says.
func (s *server) socket() bool {
	for _, pattern := range []string{s.home.tmp() + "/wine-*/server-*/socket", s.home.tmp() + "/.wine-*/server-*/socket"} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return true
		}
	}
	dir := s.upstreamDir()
	return dir != "" && exists(dir+"/socket")
}

// upstreamDir is where an upstream wineserver keeps its socket.
func (s *server) upstreamDir() string {
	var st unix.Stat_t
	if unix.Stat(s.home.prefix(), &st) != nil {
		return ""
	}
	return fmt.Sprintf("/tmp/.wine-%d/server-%x-%x", os.Getuid(), st.Dev, st.Ino)
}

// noCore: a crash is reported, its memory never written to disk.
var noCore = []proc.Limit{{Resource: unix.RLIMIT_CORE, Value: 0}}

func (s *server) environ(debug string, program []string) []string {
	return s.environOf(s.profile, debug, program)
}

// environOf is the environment of what has a profile of its own.
func (s *server) environOf(own profile, debug string, program []string) []string {
	return environ(s.wine, s.home, s.user, own, s.lean, debug, program, s.marks)
}

// up reports, at no cost, whether programs can be started as far as is known.
func (s *server) up() bool {
	if s.gone.Load() {
		return false
	}
	for _, c := range []*proc.Child{s.wineserver, s.holder} {
		select {
		case <-c.Done():
			return false
		default:
		}
	}
	return true
}

// alive reports whether programs can be started. A killed server gives up its
// memory before its sockets: whoever has seen the sockets close, sees this as false.
func (s *server) alive() bool {
	if !s.up() {
		return false
	}
	_, err := os.Readlink("/proc/" + strconv.Itoa(s.wineserver.PID()) + "/exe")
	return err == nil
}

// watch waits for the server's end and then ends what ran under it.
func (s *server) watch() {
	select {
	case <-s.wineserver.Done():
	case <-s.holder.Done():
	}
	if s.gone.CompareAndSwap(false, true) {
		s.undertaker.bury(s.mark()) // Close does it again, and reports
	}
}

// mark is what everything under the server has in its environment.
func (s *server) mark() string { return envServer + "=" + s.id }

// fell kills the server alone.
func (s *server) fell() {
	s.gone.Store(true)
	for _, c := range []*proc.Child{s.wineserver, s.holder} {
		if c != nil {
			c.Signal(syscall.SIGKILL)
		}
	}
}

// kill ends everything under the server.
func (s *server) kill(ctx context.Context) error {
	s.fell()
	_, err := s.table.Family(s.mark()).Kill(ctx)
	return err
}

// remove removes what the server has on disk.
func (s *server) remove() error {
	err := error(nil)
	if dir := s.upstreamDir(); dir != "" {
		err = guest.RemoveAll(dir)
	}
	return errors.Join(err, guest.RemoveAll(string(s.home)))
}
