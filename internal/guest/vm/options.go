package vm

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"muster/internal/guest"
)

// The driver's settings, by the names under which they travel in guest.Request.Options and guest.Node.Options.
const (
	OptNet    = "net"    // NetNone, NetUser
	OptMounts = "mounts" // as Mounts writes them
	optMem    = "mem"    // bytes, settled by the Front
)

// Words of --net.
const (
	NetNone = "none" // no network at all
	NetUser = "user" // out through the host, by the user's own rights; nothing comes in
	NetSlot = "slot" // to the other instances of the lane
)

// DefaultMemory is what a guest has unless --mem says otherwise.
const DefaultMemory = 256 << 20

// leastMemory is with how little a guest still boots.
const leastMemory = 96 << 20

// options are the settings of a run's guests.
type options struct {
	memory int64
	net    string
	mounts []Mount
}

// Mount is a folder of the host that guests see, read-only.
type Mount struct {
	Dir string `json:"dir"` // on the host
	At  string `json:"at"`  // in the guest
}

// parseOptions reads settled settings.
func parseOptions(o map[string]string) (options, error) {
	out := options{memory: DefaultMemory, net: NetNone}
	if text := o[optMem]; text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return out, fmt.Errorf("the guest's memory %q: %w", text, err)
		}
		out.memory = n
	}
	if text := o[OptNet]; text != "" {
		out.net = text
	}
	if text := o[OptMounts]; text != "" {
		if err := json.Unmarshal([]byte(text), &out.mounts); err != nil {
			return out, fmt.Errorf("the mounts %q: %w", text, err)
		}
	}
	return out, nil
}

// settle makes a request's settings those of the run.
func settle(r guest.Request) (map[string]string, error) {
	o, err := parseOptions(r.Options)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", guest.ErrUnfit, err)
	}
	if r.Mem > 0 {
		o.memory = r.Mem
	}
	if o.memory < leastMemory {
		return nil, fmt.Errorf("%w: --mem %dM is too little for a guest: its kernel alone takes %dM", guest.ErrUnfit, o.memory>>20, leastMemory>>20)
	}
	const page = 1 << 20 // memory comes in whole MiB
	out := map[string]string{optMem: strconv.FormatInt((o.memory+page-1)/page*page, 10), OptNet: o.net}
	if !slices.Contains([]string{NetNone, NetUser, NetSlot}, o.net) {
		return nil, fmt.Errorf("%w: there is no --net %s: none, user or slot", guest.ErrUnfit, o.net)
	}
	if text := r.Options[OptMounts]; text != "" {
		out[OptMounts] = text
	}
	return out, nil
}

// mountName is what a folder below mountsDir may be called.
var mountName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`)

// Mounts reads the values of --mount, DIR or DIR:NAME each, and returns them as OptMounts. Folders are looked at, and
// made absolute below dir. The error is guest.ErrUnfit.
func Mounts(words []string, dir string) (string, error) {
	if len(words) == 0 {
		return "", nil
	}
	var all []Mount
	seen := map[string]string{}
	for _, word := range words {
		m, name := Mount{Dir: word}, ""
		if at := strings.LastIndexByte(word, ':'); at > 0 && mountName.MatchString(word[at+1:]) {
			m.Dir, name = word[:at], word[at+1:]
		}
		if !filepath.IsAbs(m.Dir) {
			m.Dir = filepath.Join(dir, m.Dir)
		}
		m.Dir = filepath.Clean(m.Dir)
		if name == "" {
			name = filepath.Base(m.Dir)
		}
		if !mountName.MatchString(name) {
			return "", fmt.Errorf("%w: --mount %s: %q is no name for a folder in the guest; write DIR:NAME with letters, digits, '.', '_', '+' and '-'", guest.ErrUnfit, word, name)
		}
		if other, ok := seen[name]; ok {
			return "", fmt.Errorf("%w: --mount %s: %s is mounted as %s already; write DIR:NAME with another name", guest.ErrUnfit, word, other, name)
		}
		seen[name], m.At = m.Dir, path.Join(mountsDir, name)
		if st, err := os.Stat(m.Dir); err != nil || !st.IsDir() {
			return "", fmt.Errorf("%w: --mount %s: %s is not a folder", guest.ErrUnfit, word, m.Dir)
		}
		all = append(all, m)
	}
	b, err := json.Marshal(all)
	return string(b), err
}

// Present adds to mounts, which are as OptMounts, the folder in which somebody calls a program that is to run in a guest: there it has
// the same name. The error is guest.ErrUnfit.
func Present(mounts, dir string) (string, error) {
	var all []Mount
	if mounts != "" {
		if err := json.Unmarshal([]byte(mounts), &all); err != nil {
			return "", fmt.Errorf("the mounts %q: %w", mounts, err)
		}
	}
	if guestsOwn(dir) || dir == "/" || dir == "/etc" {
		return mounts, nil // the guest has one of that name
	}
	if err := carriable(dir); err != nil {
		return "", fmt.Errorf("%w; go to another folder, and name with --mount what the program is to see", err)
	}
	b, err := json.Marshal(append(all, Mount{Dir: dir, At: dir}))
	return string(b), err
}

// mostCarried is how much a folder may hold that goes into the guest without having been asked for.
const mostCarried = 1 << 30

// carriable makes sure that a folder is not too large to be copied. The error is guest.ErrUnfit.
func carriable(dir string) error {
	var size int64
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil {
			return nil // the copy will tell
		}
		size += 512 // a name and what is kept of it
		if st, err := d.Info(); err == nil && st.Mode().IsRegular() {
			size += st.Size()
		}
		if size > mostCarried {
			return filepath.SkipAll
		}
		return nil
	})
	if err == nil && size > mostCarried {
		err = fmt.Errorf("%w: %s holds more than %d MiB, and a guest has a copy of it", guest.ErrUnfit, dir, int64(mostCarried)>>20)
	}
	return err
}
