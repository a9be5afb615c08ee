package wine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"muster/internal/guest"
	"muster/internal/guest/wine/exitcode"
)

// A native program in a Wine instance (a script that glues Windows programs together) runs natively, and
// starts Windows programs in its instance by `muster exec`. It is told of the
// instance in its environment.

// envInside tells a native program of the instance that it runs in.
const envInside = "MUSTER_WINE_INSIDE"

// Inside is the instance that this process was started in by muster, as a
// native program.
type Inside struct {
	Wine   Install
	Home   string // of the server: Place.Dir/N
	User   string
	Lean   bool
	Drives map[string]string // letter → host folder
	Dir    string            // of its user, as Windows names it
	Temp   string            // likewise, for temporary files

	environ []string
}

// FindInside finds the instance that a process with this environment runs in;
// ok is false when there is none.
func FindInside(environ []string) (in Inside, ok bool, err error) {
	i := slices.IndexFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, envInside+"=") })
	if i < 0 {
		return in, false, nil
	}
	if err := json.Unmarshal([]byte(environ[i][len(envInside)+1:]), &in); err != nil {
		return in, false, fmt.Errorf("%w: %s is damaged: %w", guest.ErrLacking, envInside, err)
	}
	in.environ = slices.Delete(slices.Clone(environ), i, i+1)
	return in, true, nil
}

// Program is the host folder that the run's program came from.
func (in Inside) Program() string { return in.Drives[driveProgram] }

// Command is what this process is to become (execve) to run a Windows program,
// given by its host path, in the instance.
func (in Inside) Command(program string, args []string) (path string, argv, env []string, err error) {
	if native(program) {
		return "", nil, nil, fmt.Errorf("%w: %s is a program of this system; start it without muster exec", guest.ErrUnfit, program)
	}
	d := drives{{driveC, filepath.Join(home(in.Home).prefix(), "drive_c")}}
	for letter, host := range in.Drives {
		d = append(d, drive{letter, host})
	}
	name, err := d.path(program)
	if err != nil {
		name = program // Wine takes host paths as well
	}
	line, more, err := commandLine(name, args)
	if err != nil {
		return "", nil, nil, err
	}
	env = environ(in.Wine, home(in.Home), in.User, profile{dir: in.Dir, temp: in.Temp}, in.Lean, exitcode.Debug, in.environ, nil)
	return in.Wine.Loader, append([]string{in.Wine.Loader}, line...), append(env, more...), nil
}

// inside describes server s of the instance to a native program.
func (i *instance) inside(s *server, own profile) (string, error) {
	in := Inside{Dir: own.dir, Temp: own.temp, Wine: s.wine, Home: string(s.home), User: s.user, Lean: s.lean, Drives: map[string]string{}}
	for _, d := range i.drives {
		in.Drives[d.letter] = d.host
	}
	b, err := json.Marshal(in)
	if err != nil {
		return "", fmt.Errorf("describing the instance: %w", err)
	}
	return envInside + "=" + string(b), nil
}

// native reports whether a file is a program of this system: an ELF file or a
// script that names its interpreter.
func native(program string) bool {
	start, err := beginning(program)
	return err == nil && (bytes.HasPrefix(start, []byte("\x7FELF")) || bytes.HasPrefix(start, []byte("#!")))
}

// nativeEnviron is the environment of a native program: the one that it is given,
// with the instance's marks and temporary folder.
func (i *instance) nativeEnviron(s *server, own profile, program []string) ([]string, error) {
	in, err := i.inside(s, own)
	if err != nil {
		return nil, err
	}
	env := make([]string, 0, len(program)+len(s.marks)+2)
	for _, kv := range program {
		if !strings.HasPrefix(kv, "TMPDIR=") {
			env = append(env, kv)
		}
	}
	env = append(env, "TMPDIR="+s.home.tmp(), in)
	return append(env, s.marks...), nil
}

// examineNative fills in the verdict of a native program.
func (c *check) examineNative() error {
	if st, err := os.Stat(c.request.Program); err != nil || st.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("%w: %s is not executable; chmod +x it", guest.ErrUnfit, c.request.Program)
	}
	c.Boot, c.Why = BootFull, "what a native program starts by muster exec is not known beforehand"
	if asked := c.request.Boot; asked == BootLean || asked == BootFull {
		c.Boot, c.Why = asked, "as asked for"
	}
	c.detail("file: %s, native program; muster exec in it starts Windows programs in its instance", c.request.Program)
	c.detail("Wine: %s", c.wine.Version)
	c.detail("boot %s: %s", c.Boot, c.Why)
	c.Line = fmt.Sprintf("%s: runs natively beside a Windows instance, boot %s", c.name, c.Boot)
	return nil
}
