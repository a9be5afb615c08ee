package machine

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrState means that a saved state is of no use: it is of another kind of machine, it is damaged, or it did not come to
// life within its limit. Whoever has it makes it anew.
var ErrState = errors.New("the saved state cannot be used")

// The files of a saved state.
const (
	memoryFile = "memory"     // the guest's, mapped by every clone
	deviceFile = "devices"    // what QEMU knows of the rest, small
	stateFile  = "state.json" // last: without it nothing was saved
)

type saved struct {
	Version int    `json:"version"`
	Key     string `json:"key"`
	Devices string `json:"devices"` // digest; it is small
	Memory  int64  `json:"memory"`  // bytes
}

const stateVersion = 1

// ignoreShared is QEMU's word for leaving memory where it is. Who resumes maps it for itself, and is told nothing of it.
const ignoreShared = "x-ignore-shared"

// StateKey is what two machines must have in common for one's state to be resumed in the other: QEMU, the hardware
// down to the order of the disks, and the image. A state is good for one boot of one host: its kernel knows how fast
// this host's clock ticks, and files that nobody has synced are not to be trusted after a crash.
func (h Host) StateKey(c Config) (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading which boot this is: %w", err)
	}
	// Whose files they are, and what a guest is told anew in any case, is no matter.
	c.Net.MAC = ""
	c.Disks = slices.Clone(c.Disks)
	for i := range c.Disks {
		c.Disks[i].Path = ""
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%d\n%s\n%s\n%s\n%s\n%s\n", stateVersion, strings.TrimSpace(string(boot)), h.QEMU.Version, h.QEMU.Package, c.ImageKey, c.Cmdline)
	for _, a := range c.args(memory{file: memoryFile}, true) {
		fmt.Fprintf(sum, "%q\n", a)
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:16]), nil
}

// BootToSave boots a machine whose state can be saved in dir, which is there and empty. Its memory is a file
// of dir from the beginning.
func (h Host) BootToSave(ctx context.Context, c Config, dir string) (*Machine, error) {
	m, err := h.start(ctx, c, memory{file: filepath.Join(dir, memoryFile), share: true}, nil)
	if err != nil {
		return nil, errors.Join(err, discard(dir))
	}
	m.mu.Lock()
	m.saving = dir
	m.mu.Unlock()
	return m, nil
}

// Save saves a machine that BootToSave has made, as it stands: everything that resumes from dir goes on from here. The
// machine itself ends with it. An error leaves no state.
func (h Host) Save(ctx context.Context, m *Machine) error {
	dir := m.unsaved()
	if dir == "" {
		return errors.New("saving a machine: it was not booted to be saved, or was saved already")
	}
	err := m.save(ctx, dir)
	if err == nil {
		err = h.seal(m.config, dir)
	}
	if err == nil {
		m.mu.Lock()
		m.saving = "" // the memory is the state's from here on
		m.mu.Unlock()
	}
	if err = errors.Join(err, m.Close()); err != nil {
		return fmt.Errorf("saving a machine's state in %s: %w", dir, err)
	}
	return nil
}

// unsaved is the folder of a machine that was to be saved and was not; "".
func (m *Machine) unsaved() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.saving
}

func (m *Machine) save(ctx context.Context, dir string) error {
	file, err := os.OpenFile(filepath.Join(dir, deviceFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := m.monitor.do(ctx, "migrate-set-capabilities", capable(ignoreShared, "events"), nil); err != nil {
		return err
	}
	if err := m.monitor.doWith(ctx, "getfd", map[string]string{"fdname": "devices"}, file, nil); err != nil {
		return err
	}
	// It runs on meanwhile: a guest that is saved running is resumed running.
	if err := m.monitor.do(ctx, "migrate", map[string]string{"uri": "fd:devices"}, nil); err != nil {
		return err
	}
	for {
		select {
		case status := <-m.moved:
			switch status {
			case "completed":
				return file.Close()
			case "failed", "cancelled":
				return m.moveError(ctx, status)
			}
		case <-m.child.Done():
			return m.gone(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// capable switches on what a move needs: memory that stays in its file, and, for who saves, events that tell how far
// it is. QEMU's monitor takes its orders byte by byte, a few microseconds each, so they are kept short.
func capable(names ...string) any {
	type capability struct {
		Name  string `json:"capability"`
		State bool   `json:"state"`
	}
	var all []capability
	for _, name := range names {
		all = append(all, capability{name, true})
	}
	return map[string]any{"capabilities": all}
}

// moveError says why a move has failed, in QEMU's words where it has any.
func (m *Machine) moveError(ctx context.Context, status string) error {
	var answer struct {
		Desc string `json:"error-desc"`
	}
	if err := m.monitor.do(ctx, "query-migrate", nil, &answer); err == nil && answer.Desc != "" {
		return fmt.Errorf("QEMU: %s", readable(answer.Desc))
	}
	return fmt.Errorf("QEMU says that it %s", status)
}

// gone says how a machine has ended that was to do something.
func (m *Machine) gone(ctx context.Context) error {
	end, err := m.Wait(ctx)
	if err != nil {
		return err
	}
	return errors.New(end.String())
}

// seal leaves word of a state that is whole.
func (h Host) seal(c Config, dir string) error {
	s := saved{Version: stateVersion}
	var err error
	if s.Key, err = h.StateKey(c); err != nil {
		return err
	}
	if s.Devices, s.Memory, err = measure(dir); err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, stateFile), append(text, '\n'), 0o600)
}

// measure tells what the files of a state are like.
func measure(dir string) (devices string, mem int64, err error) {
	text, err := os.ReadFile(filepath.Join(dir, deviceFile))
	if err != nil {
		return "", 0, err
	}
	m, err := os.Stat(filepath.Join(dir, memoryFile))
	if err != nil {
		return "", 0, err
	}
	return fmt.Sprintf("%x", sha256.Sum256(text)), m.Size(), nil
}

// discard removes a state, or what there is of one.
func discard(dir string) error {
	var errs []error
	for _, name := range []string{stateFile, deviceFile, memoryFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Fits reports whether the state in dir is one that c can resume, as far as can be told without trying. Errors: ErrState.
func (h Host) Fits(c Config, dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	var s saved
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("%w: reading %s: %w", ErrState, filepath.Join(dir, stateFile), err)
	}
	key, err := h.StateKey(c)
	if err != nil {
		return err
	}
	if s.Version != stateVersion || s.Key != key {
		return fmt.Errorf("%w: it was saved by another QEMU, on another boot of this host, or of another machine or image", ErrState)
	}
	devices, mem, err := measure(dir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	if devices != s.Devices || mem != s.Memory {
		return fmt.Errorf("%w: its files are not as they were saved", ErrState)
	}
	return nil
}

// resumeLimit is how long a machine may take to come to life from its state. It takes a tenth of a second, when
// nothing else goes on.
const resumeLimit = 20 * time.Second

// Resume starts a machine from the state in dir, and returns when the guest runs. Its memory is the file's, which it
// never changes: pages that it writes to become its own. Errors: ErrState when the state is to blame.
func (h Host) Resume(ctx context.Context, c Config, dir string) (*Machine, error) {
	if err := h.Fits(c, dir); err != nil {
		return nil, err
	}
	state, err := os.Open(filepath.Join(dir, deviceFile))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	defer state.Close()
	m, err := h.start(ctx, c, memory{file: filepath.Join(dir, memoryFile)}, state)
	if err != nil {
		return nil, err
	}
	if err := m.resume(ctx); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// resume has QEMU read the state.
func (m *Machine) resume(ctx context.Context) error {
	late, stop := context.WithTimeout(ctx, resumeLimit)
	defer stop()
	fd := fdNext
	if m.config.Net.Socket != nil {
		fd++
	}
	// Both are on their way before QEMU is up.
	set, err := m.monitor.send(late, "migrate-set-capabilities", capable(ignoreShared), nil)
	if err == nil {
		var incoming sent
		incoming, err = m.monitor.send(late, "migrate-incoming", map[string]string{"uri": fmt.Sprintf("fd:%d", fd)}, nil)
		if err == nil {
			err = errors.Join(
				m.monitor.answer(late, "migrate-set-capabilities", set, nil),
				m.monitor.answer(late, "migrate-incoming", incoming, nil))
		}
	}
	if err == nil {
		select {
		case <-m.resumed:
			return nil
		case <-m.monitor.ended:
			err = m.monitor.failure()
		case <-late.Done():
			err = fmt.Errorf("it did not run after %v", resumeLimit)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, errMonitor) {
		err = m.gone(late)
	}
	return fmt.Errorf("%w: %w", ErrState, err)
}
