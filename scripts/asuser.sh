#!/usr/bin/env bash
# asuser.sh EVENTS PACKAGE…: runs the tests of the packages as an ordinary user and
# writes what `go test -json` would to EVENTS. Called as root: test binaries are
# built as root and run as $MUSTER_TEST_USER, or as a user made for it and removed
# afterwards, with a home, caches and temporary folder of its own. The files that
# $MUSTER_TEST_ENV names (how clusters are used) are sourced for them. Two packages'
# tests run at a time, as go test does it on two processors.
set -euo pipefail

[ $# -ge 2 ] || {
	echo "usage: asuser.sh EVENTS PACKAGE…" >&2
	exit 2
}
events=$(realpath "$1")
shift
[ "$(id -u)" -eq 0 ] || {
	echo "asuser.sh: only root can become another user; an ordinary user just runs go test" >&2
	exit 2
}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
go=$root/scripts/go.sh

user=${MUSTER_TEST_USER:-muster-test-$$} # of its own: others may be testing too, and all that is this user's goes
made=
if ! id "$user" >/dev/null 2>&1; then
	useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$user"
	made=1
fi

work=$(mktemp -d)
# shellcheck disable=SC2317 # called by the trap
clean() {
	rm -rf "$work"
	if [ -n "$made" ]; then
		# Nothing should run any more (the caller looks); the user goes in any case.
		for pid in $(ps -o pid= -u "$user" || true); do kill -KILL "$pid" 2>/dev/null || true; done
		userdel "$user"
	fi
}
trap clean EXIT
trap 'exit 1' HUP INT TERM

# The tests read their testdata below their own folder, and the user may not be
# able to look into ours.
mkdir "$work/src" "$work/bin" "$work/home" "$work/tmp"
tar -c --exclude=./.git --exclude=./build --exclude=./bin . | tar -x -C "$work/src"
chown -R "$user:" "$work/src" "$work/home" "$work/tmp"
chmod 0711 "$work" "$work/bin"
chmod 0700 "$work/home"

as_user() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	runuser -u "$user" -- env -i \
		HOME="$work/home" USER="$user" LOGNAME="$user" TMPDIR="$work/tmp" LANG=C.UTF-8 \
		PATH=/usr/local/bin:/usr/bin:/bin ${CI:+"CI=$CI"} \
		MUSTER_TEST_SEED="${MUSTER_TEST_SEED:-}" MUSTER_TEST_ROUNDS="${MUSTER_TEST_ROUNDS:-}" \
		MUSTER_TEST_PROGRAM="$work/bin/muster" \
		bash -c 'for file in $0; do . "$file"; done; exec "$@"' "${MUSTER_TEST_ENV:-}" \
		"$@" </dev/null
}

scripts/leftovers.sh list "$user" >"$work/before.txt"
: >"$events"
bad=0
# For tests of the program itself: the user may have no go to build it with.
if CGO_ENABLED=0 $go build -o "$work/bin/muster" ./cmd/muster; then chmod 0755 "$work/bin/muster"; else bad=1; fi
running=()
for package in "$@"; do
	folder=${package#./}
	name=$(tr / - <<<"$folder").test
	$go test -c -vet=off -o "$work/bin/$name" "./$folder" || {
		bad=1
		continue
	}
	[ -e "$work/bin/$name" ] || continue # no tests in it
	chmod 0755 "$work/bin/$name"
	# FAIL in the end: a binary may say PASS and still end badly.
	{
		cd "$work/src/$folder"
		as_user "$work/bin/$name" -test.v=test2json -test.timeout="${MUSTER_TEST_TIMEOUT:-8m}" -test.paniconexit0 || echo FAIL
	} 2>&1 | (cd "$root" && $go tool test2json -t -p "muster/$folder") >"$work/$name.json" &
	running+=("$name")
	[ "$(jobs -rp | wc -l)" -lt 2 ] || wait -n
done
wait
for name in "${running[@]}"; do cat "$work/$name.json" >>"$events"; done

# Nothing of it may be left, in its own temporary folder and home neither.
scripts/leftovers.sh check "$work/before.txt" "$user" || bad=1
left=$(find "$work/tmp" "$work/home/.local/state" -mindepth 1 -maxdepth 3 2>/dev/null || true)
if [ -n "$left" ]; then
	printf '%s\n' "left in $user's temporary folder or home:" "$left"
	bad=1
fi
exit "$bad"
