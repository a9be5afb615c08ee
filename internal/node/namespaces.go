package node

import (
	"context"
	"os"
	"strconv"
)

// namespaces says whether this user can have PID namespaces, and user
// namespaces where they take one: by trying, where there is a probe, else by the
// kernel's settings. Settings can only say no for certain: a filter of system
// calls (in many containers) may forbid what they allow.
func (h Host) namespaces(ctx context.Context) Ability {
	if why := h.noNamespaces(); why != "" {
		return Ability{Why: why}
	}
	if h.Probe != nil {
		if err := h.Probe(ctx); err != nil {
			return Ability{Tried: true, Why: err.Error()}
		}
		return Ability{OK: true, Tried: true}
	}
	if mode, ok := field(h.Proc+"/self/status", "Seccomp"); ok && mode == 2 && h.UID != 0 {
		return Ability{OK: true, Why: "the kernel's settings allow it; a filter of system calls is on and may forbid it"}
	}
	return Ability{OK: true, Why: "the kernel's settings allow it"}
}

// noNamespaces says why there can be none, or "".
func (h Host) noNamespaces() string {
	for _, ns := range []string{"pid", "user"} {
		if ns == "user" && h.UID == 0 {
			continue // root makes PID namespaces without one
		}
		if _, err := os.Lstat(h.Proc + "/self/ns/" + ns); err != nil {
			return "the kernel has no " + ns + " namespaces"
		}
		if n, ok := h.setting("user/max_" + ns + "_namespaces"); ok && n == 0 {
			return "user.max_" + ns + "_namespaces is 0"
		}
	}
	if h.UID == 0 {
		return ""
	}
	if n, ok := h.setting("kernel/unprivileged_userns_clone"); ok && n == 0 { // Debian, until 11
		return "kernel.unprivileged_userns_clone is 0"
	}
	if n, ok := h.setting("kernel/apparmor_restrict_unprivileged_userns"); ok && n == 1 { // Ubuntu, from 23.10
		return "kernel.apparmor_restrict_unprivileged_userns is 1"
	}
	return ""
}

// setting reads a number below /proc/sys.
func (h Host) setting(name string) (int64, bool) {
	text, err := h.line("sys/" + name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}
