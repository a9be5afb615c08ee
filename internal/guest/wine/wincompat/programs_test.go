package wincompat

import (
	"slices"
	"strings"
)

// A sample is one run of a program, whose outcome is testdata/NAME.golden.
type sample struct {
	name    string
	program string // "": as name
	args    []string
	env     []string // besides what all have
	boot    string   // what --boot auto has to choose for it
	screen  bool     // plain Wine needs a display for it, or its null driver
}

const (
	lean = "lean"
	full = "full"
)

// samples are all there is. Programs that are full need the boot that auto chooses for them, or
// use what is known to need it; they are never run in a lean one.
var samples = []sample{
	{name: "crt-msvcrt", boot: lean},
	{name: "crt-ucrt", boot: lean},
	{name: "threads", boot: lean},
	{name: "memory", boot: lean},
	{name: "exceptions", boot: lean},
	{name: "files", boot: lean},
	{name: "pipes", boot: lean},
	{name: "loader", boot: lean},
	{name: "registry", boot: lean},
	{name: "automation", boot: full},
	{name: "locale", boot: lean},
	{name: "crypto", boot: lean},
	{name: "arguments", boot: lean, env: []string{"WINCOMPAT_WORDS=grün und 日本"},
		args: []string{"plain", "", "two words", `a"b`, `c\`, `d e\\`, "ünïcödé", "日本語", "*.c", "%PATH%", "😀"}},
	{name: "timezones-new-york", program: "timezones", boot: lean, env: []string{"TZ=America/New_York"}},
	{name: "timezones-berlin", program: "timezones", boot: lean, env: []string{"TZ=Europe/Berlin"}},
	{name: "timezones-kolkata", program: "timezones", boot: lean, env: []string{"TZ=Asia/Kolkata"}},
	{name: "timezones-sydney", program: "timezones", boot: lean, env: []string{"TZ=Australia/Sydney"}},
	{name: "timezones-utc", program: "timezones", boot: lean, env: []string{"TZ=UTC"}},
	{name: "pastyears", boot: full},
	{name: "classes", boot: full},
	{name: "children", boot: full},
	{name: "libraries", boot: full},
	{name: "com", boot: full},
	{name: "network", boot: full},
	{name: "shell", boot: full},
	{name: "system", boot: full},
	{name: "drawing", boot: full},
	{name: "window", boot: full, screen: true},
}

// ucrt links with the new C runtime instead of the old one.
var ucrt = []string{"-D_UCRT", "-nodefaultlibs", "-Wl,--start-group", "-lmingw32", "-lgcc", "-lgcc_eh", "-lmoldname", "-lmingwex", "-lucrt", "-lkernel32", "-luser32", "-Wl,--end-group"}

// programs are what the compiler is given for each program. The formats are Windows' own, of which it
// knows little.
func programs() map[string][]string {
	all := map[string][]string{
		"crt-msvcrt": {"crt.c"},
		"crt-ucrt":   append([]string{"crt.c"}, ucrt...),
		"threads":    {"threads.c", "-lsynchronization"},
		"memory":     {"memory.c"},
		"exceptions": {"exceptions.c"},
		"files":      {"files.c"},
		"pipes":      {"pipes.c"},
		"loader":     {"loader.c", "-lpsapi", "-lversion"},
		"registry":   {"registry.c"},
		"automation": {"automation.c", "-loleaut32"},
		"locale":     {"locale.c", "-lnormaliz"},
		"crypto":     {"crypto.c", "-lbcrypt", "-lcrypt32"},
		"arguments":  {"arguments.c", "-municode"},
		"timezones":  {"timezones.c"},
		"zone":       {"zone.c"},
		"page":       {"page.c"},
		"pastyears":  {"pastyears.c"},
		"classes":    {"classes.c"},
		"children":   {"children.c", "-municode"},
		"libraries":  {"libraries.c"},
		"com":        {"com.c", "-lole32", "-loleaut32", "-luuid"},
		"network":    {"network.c", "-lws2_32"},
		"shell":      {"shell.c", "-lshell32", "-lshlwapi"},
		"system":     {"system.c"},
		"drawing":    {"drawing.c", "-lgdi32"},
		"window":     {"window.c", "-mwindows", "-lgdi32"},
	}
	for name, args := range all {
		all[name] = append([]string{"-Wno-format", "-Wno-format-extra-args", "-Wno-format-overflow", "-Wno-array-bounds", "-Wno-infinite-recursion", "-Wno-div-by-zero"}, args...)
	}
	return all
}

// file is the sample's program.
func (s sample) file() string {
	if s.program != "" {
		return s.program + ".exe"
	}
	return s.name + ".exe"
}

// environment is what every sample is given, and its own. No name stands twice.
func (s sample) environment() []string {
	env := append([]string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8"}, s.env...)
	if !slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "TZ=") }) {
		env = append(env, "TZ=UTC")
	}
	return env
}

// input is every sample's standard input.
const input = "the first line\r\nthe second\r\n"

// zones are time zones of which some have other rules in each year, so that nothing can be stored of them.
var zones = []string{
	"Africa/Cairo", "Africa/Casablanca", "Africa/Johannesburg", "Africa/Lagos", "America/Argentina/Buenos_Aires", "America/Asuncion", "America/Bogota", "America/Caracas",
	"America/Chicago", "America/Denver", "America/Halifax", "America/Havana", "America/Los_Angeles", "America/Mexico_City", "America/Phoenix", "America/Santiago",
	"America/Sao_Paulo", "America/St_Johns", "Asia/Amman", "Asia/Baghdad", "Asia/Dhaka", "Asia/Gaza", "Asia/Hong_Kong", "Asia/Jerusalem", "Asia/Kathmandu", "Asia/Pyongyang",
	"Asia/Shanghai", "Asia/Tehran", "Asia/Tokyo", "Atlantic/Azores", "Australia/Adelaide", "Australia/Lord_Howe", "Europe/Chisinau", "Europe/Istanbul", "Europe/London",
	"Europe/Minsk", "Europe/Moscow", "Europe/Volgograd", "Pacific/Apia", "Pacific/Auckland", "Pacific/Chatham", "Pacific/Fiji", "Pacific/Norfolk", "Pacific/Tongatapu",
}
