#!/usr/bin/env bash
# go.sh ARGS…: runs a go that is new enough for go.mod, wherever it comes from:
# the one on the PATH or in /usr/local/go when it is new enough; else, from Go 1.21
# on, Go fetches the right toolchain itself (GOTOOLCHAIN); an older one, like
# Debian 12's, can at least fetch the toolchain as the module that it is.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
wanted=$(awk '$1 == "toolchain" { sub(/^go/, "", $2); t = $2 } $1 == "go" { g = $2 } END { print t ? t : g }' "$root/go.mod")

# older A B: version A is older than version B.
older() { [ "$1" != "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# version GO: its own version, whatever it would switch to; nothing if it is none.
version() { (cd / && GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) | sed -n 's/^go\([0-9][0-9.]*\).*/\1/p'; }

best='' best_version=0
for candidate in "$(type -P go || true)" /usr/local/go/bin/go /usr/lib/go/bin/go; do
	[ -x "$candidate" ] || continue
	v=$(version "$candidate")
	if [ -n "$v" ] && older "$best_version" "$v"; then
		best=$candidate best_version=$v
	fi
done

if [ -z "$best" ]; then
	echo "muster needs Go $wanted, and there is no go here: run make deps, or install it from https://go.dev/dl" >&2
	exit 3
fi
if older "$best_version" "$wanted"; then
	if older "$best_version" 1.21; then
		module=golang.org/toolchain@v0.0.1-go$wanted.linux-$("$best" env GOARCH)
		toolchain=$("$best" env GOMODCACHE)/$module
		if [ ! -x "$toolchain/bin/go" ]; then
			echo "go $best_version is too old, fetching Go $wanted" >&2
			(cd / && "$best" mod download "$module") >&2 || {
				echo "Go $wanted could not be fetched: install it from https://go.dev/dl" >&2
				exit 3
			}
			# Modules hold no programs, so their files come without the right to run.
			find "$toolchain/bin" "$toolchain/pkg/tool" -type f -exec chmod u+x,go+x {} +
		fi
		best=$toolchain/bin/go
		export GOTOOLCHAIN=local
	else
		export GOTOOLCHAIN=auto
	fi
fi

# What this go starts finds the same go.
PATH=$(dirname "$best"):$PATH
export PATH

# The program carries another one: muster-init, which runs in guests. What go makes of unchanged source
# comes from its cache, so this takes a fraction of a second. Who may not write here uses what is there.
bin=$root/internal/guest/vm/guestinit/bin
case ${1-} in
build | install | run | test)
	if [ -w "$bin" ]; then
		new=$(mktemp "$bin/.new.XXXXXX")
		trap 'rm -f "$new"' EXIT
		(cd "$root" && CGO_ENABLED=0 GOOS=linux GOFLAGS='' "$best" build -trimpath -buildvcs=false -ldflags '-s -w' -o "$new" ./cmd/muster-init)
		if ! cmp -s "$new" "$bin/muster-init"; then
			chmod 0755 "$new"
			mv "$new" "$bin/muster-init"
		fi
		rm -f "$new"
	fi
	;;
esac
exec "$best" "$@"
