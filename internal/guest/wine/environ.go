package wine

import (
	"path/filepath"
	"slices"
	"strings"
)

// Environment variables of this driver's own, by which processes are told apart.
// Wine starts children with the environment of their parent's Unix half, so a
// program that throws its environment away does not lose them.
const (
	envServer  = "MUSTER_WINE_SERVER"  // PLACE.N: one of an instance's servers
	envProgram = "MUSTER_WINE_PROGRAM" // PLACE.N.M: one program started there
)

// always are the DLLs and programs that never load: no menu entries on the host,
// no question whether to download .NET or a browser, no debugger.
const always = "winemenubuilder.exe,winedbg.exe,mscoree,mshtml=d"

// suppressed keeps a lean server from booting Windows' services.
const suppressed = "wineboot.exe=d"

// noSecondExec keeps Wine's loader from executing itself a second time, through a preloader. Where
// there is none that is a hundred page faults for nothing (see startHumble for what a
// preloader is there for). Wine sets it itself for that second time, so programs see no difference.
const noSecondExec = "WINELOADERNOEXEC"

// replaced are the variables of a program's environment that the guest sets,
// or that lead out of the instance: the host's display among them.
var replaced = []string{
	"HOME", "USER", "LOGNAME", "TMPDIR", "TEMP", "TMP", "PWD", "OLDPWD",
	"DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS", "PULSE_SERVER",
	"XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME",
	"WINEPREFIX", "WINESERVER", "WINELOADER", "WINEARCH", "WINEDLLPATH", "WINESERVERSOCKET", "WINEPRELOADRESERVE", noSecondExec,
	"WINEDEBUG", "WINEDLLOVERRIDES",
	"LC_ALL", "LC_CTYPE", "LANG",
	"LD_PRELOAD", "LD_AUDIT",
}

// home is the private home of a server: Place.Dir/N.
type home string

func (h home) prefix() string { return filepath.Join(string(h), ".wine") }
func (h home) tmp() string    { return filepath.Join(string(h), "tmp") }

// environ is the environment of everything that runs under a server. program is
// the environment that the program is to have (nil for the server itself),
// marks what everything of the instance inherits, own its user's folders, debug Wine's debug channels.
func environ(w Install, h home, user string, own profile, lean bool, debug string, program, marks []string) []string {
	env := make([]string, 0, len(program)+len(marks)+24)
	names := make(map[string]string, 8)
	for _, kv := range program {
		name, value, _ := strings.Cut(kv, "=")
		if slices.Contains(replaced, name) || isProfile(name) {
			names[name] = value
			continue
		}
		env = append(env, kv)
	}
	overrides := always
	if lean {
		overrides += ";" + suppressed
	}
	if own := names["WINEDLLOVERRIDES"]; own != "" {
		overrides = own + ";" + overrides // later ones count
	}
	if own := names["WINEDEBUG"]; own != "" {
		debug += "," + own
	}
	env = append(env,
		"HOME="+string(h), "USER="+user, "LOGNAME="+user, "TMPDIR="+h.tmp(),
		"XDG_RUNTIME_DIR="+h.tmp(), "XDG_CONFIG_HOME="+string(h)+"/.config", "XDG_DATA_HOME="+string(h)+"/.local/share",
		"XDG_CACHE_HOME="+string(h)+"/.cache", "XDG_STATE_HOME="+string(h)+"/.local/state",
		"WINEPREFIX="+h.prefix(), "WINESERVER="+w.Server, "WINELOADER="+w.Loader,
		"WINEDLLOVERRIDES="+overrides, "WINEDEBUG="+debug,
	)
	if !w.Preloader {
		env = append(env, noSecondExec+"=1")
	}
	env = append(env, own.environ(user, machineName())...)
	env = append(env, locale(program, names)...)
	if !slices.ContainsFunc(program, func(kv string) bool { return strings.HasPrefix(kv, "PATH=") }) {
		env = append(env, "PATH=/usr/local/bin:/usr/bin:/bin")
	}
	for _, kv := range marks {
		if name, _, _ := strings.Cut(kv, "="); !slices.Contains(replaced, name) {
			env = append(env, kv)
		}
	}
	return env
}

// locale keeps the user's language and makes sure that the encoding is UTF-8:
// in any other, Wine could not take every name and argument.
func locale(program []string, names map[string]string) []string {
	value := names["LC_ALL"]
	if value == "" {
		value = names["LC_CTYPE"]
	}
	if value == "" {
		value = names["LANG"]
	}
	if upper := strings.ToUpper(value); !strings.Contains(upper, "UTF-8") && !strings.Contains(upper, "UTF8") {
		// LC_ALL makes the C library open a file for each of its categories, at each start. The
		// encoding alone is enough, unless the user has set one of the others.
		if slices.ContainsFunc(program, func(kv string) bool {
			return strings.HasPrefix(kv, "LC_") && !strings.HasPrefix(kv, "LC_ALL=") && !strings.HasPrefix(kv, "LC_CTYPE=")
		}) {
			return []string{"LC_ALL=C.UTF-8"}
		}
		return []string{"LC_CTYPE=C.UTF-8"}
	}
	var out []string
	for _, n := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if names[n] != "" {
			out = append(out, n+"="+names[n])
		}
	}
	return out
}
