#!/usr/bin/env bash
# test.sh [all|fast|lint]: what make test, make test-fast and make lint do.
#
# all   everything: lint, the examples, all tests (with the race detector where
#       goroutines and processes meet), once more as an ordinary user what an
#       ordinary user does, with a real Slurm and a real Grid Engine that are started
#       for it, and a look at what was left behind
# fast  lint without staticcheck, and the tests that go test -short leaves
# lint  gofmt, vet, staticcheck, shellcheck, the arrows
#
# MUSTER_TEST_SEED and MUSTER_TEST_ROUNDS go to the random tests; MUSTER_TEST_TIMEOUT is
# how long a package's tests may take. The last line is
# "N passed, N failed, N skipped"; exit code 1 when anything failed.
set -euo pipefail

mode=${1:-all}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
go=$root/scripts/go.sh
out=$root/build/test
export MUSTER_TEST_SEED=${MUSTER_TEST_SEED:-1} MUSTER_TEST_ROUNDS=${MUSTER_TEST_ROUNDS:-10}

# Packages whose tests run with the race detector (slow, and only of use here).
race_packages=(internal/proc internal/rundir internal/agent internal/run internal/engine/local internal/engine/memory internal/guest/vm/wire internal/guest/vm/wire/link internal/guest/vm/wire/tree)
# Packages whose tests run once more as an ordinary user.
user_packages=(internal/agent internal/crashtest internal/guest/wine internal/guest/wine/wincompat internal/guest/vm/machine internal/guest/vm/vmimage internal/guest/vm/wire cmd/muster internal/guest/native internal/proc internal/engine/local internal/image)
# Packages whose tests run as an ordinary user only: long ones, in which root is no different,
# but for those of them that only root can run.
ordinary_packages=(internal/guest/vm)
only_root=TestDiskFullOnTheWayBack
# Packages whose tests need a real cluster, and run as an ordinary user only: a driver's
# beside the other's, and those that break both clusters after them. They wait most of
# the time, so all others run meanwhile.
driver_packages=(internal/engine/slurm internal/engine/gridengine)
cluster_packages=(internal/clustertest)

say() { printf '%s\n' "$*"; }

# step NAME COMMAND…: runs a check that is no Go test, and notes it as if it were.
step() {
	local name=$1 said result=PASS
	shift
	said=$("$@" 2>&1 </dev/null) || result=FAIL
	say "  ${result,,}  $name"
	printf '=== RUN   %s\n%s\n--- %s: %s (0.00s)\n' "$name" "$said" "$result" "$name" >>"$out/steps.txt"
	[ "$result" = PASS ]
}

check_gofmt() {
	local wrong
	# shellcheck disable=SC2046 # a Go file's name has no spaces here
	wrong=$("$("$go" env GOROOT)/bin/gofmt" -l $(find . -name '*.go' -not -path './build/*' -not -path './.*/*'))
	[ -z "$wrong" ] || { say "not gofmt-ed:" "$wrong"; return 1; }
}
check_shell() {
	# shellcheck disable=SC2046 # nor has a script's
	shellcheck .ci/run $(find scripts examples -name '*.sh')
}
check_examples() {
	make --no-print-directory -C examples/heat OUT="$out/heat" CC='gcc -Werror' MINGW='x86_64-w64-mingw32-gcc -Werror' all
}

lint() {
	say "checks"
	step gofmt check_gofmt || true
	step vet "$go" vet ./... || true
	if [ "$mode" != fast ]; then
		step staticcheck "$go" tool staticcheck ./... || true
	fi
	if type -P shellcheck >/dev/null; then
		step shellcheck check_shell || true
	else
		say "  shellcheck is not here, scripts are not checked"
	fi
}

# existing FOLDER…: those that are there, as ./FOLDER.
existing() {
	local folder
	for folder in "$@"; do
		if compgen -G "$folder/*.go" >/dev/null; then say "./$folder"; fi
	done
}

# tests EVENTS ARGS…: go test, told package by package; never fails, the judge does.
tests() {
	local events=$1
	shift
	{ "$go" test -json -vet=off -count=1 -timeout="${MUSTER_TEST_TIMEOUT:-9m}" "$@" </dev/null || true; } | "$out/checkrun" watch "$events"
}

# judge ARGS…: the end.
judge() {
	say PASS >>"$out/steps.txt" # ends the last one
	"$go" tool test2json -p checks <"$out/steps.txt" >"$out/steps.json"
	say
	"$out/checkrun" judge "$@" checks="$out/steps.json"
}

# start_clusters: both, beside each other, for as long as this script lives.
clusters=
beside= # what runs in the background
start_clusters() {
	local as_root=() kind pid bad=
	[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
	if ! clusters=$("${as_root[@]}" mktemp -d /var/lib/muster-clusters.XXXXXX); then
		echo "clusters can be started by root, or with sudo without a password: run make test so" >"$out/cluster.txt"
		return
	fi
	trap '[ -z "$beside" ] || kill "$beside"; stop_clusters' EXIT
	trap 'exit 1' HUP INT TERM
	"${as_root[@]}" chmod 0755 "$clusters"
	for kind in slurm gridengine; do
		MUSTER_CLUSTERS=$clusters scripts/cluster.sh start "$kind" >"$out/cluster-$kind.txt" 2>&1 </dev/null &
	done
	for pid in $(jobs -p); do wait "$pid" || bad=1; done
	[ -n "$bad" ] || touch "$out/cluster-both"
}
# on_clusters: the tests that need clusters, for the background.
on_clusters() {
	local MUSTER_TEST_ENV="$clusters/slurm/env $clusters/gridengine/env"
	export MUSTER_TEST_ENV
	if scripts/asuser.sh "$out/drivers.json" "${drivers[@]}" >"$out/drivers.txt" 2>&1; then touch "$out/drivers-well"; fi
	if scripts/asuser.sh "$out/clusters.json" "${cluster_tests[@]}" >"$out/clusters.txt" 2>&1; then touch "$out/clusters-well"; fi
}
# check_on NAME: what became of them.
check_on() { cat "$out/$1.txt" && [ -e "$out/$1-well" ]; }
check_clusters() { cat "$out"/cluster*.txt && [ -e "$out/cluster-both" ]; }
stop_clusters() { [ -z "$clusters" ] || MUSTER_CLUSTERS=$clusters scripts/cluster.sh stop; }

scripts/deps.sh "$([ "$mode" = all ] && echo test || echo demo)"
rm -rf "$out"
mkdir -p "$out"
: >"$out/steps.txt"
"$go" build -o "$out/checkrun" ./scripts/checkrun

case $mode in
lint)
	lint
	tests "$out/arrows.json" ./internal/arrows
	judge main="$out/arrows.json"
	;;

fast)
	lint
	say "tests, the short ones"
	tests "$out/main.json" -short ./...
	# What is skipped in a short run is no news: the whole list of skips is for all.
	judge -short main="$out/main.json"
	;;

all)
	say "seed $MUSTER_TEST_SEED, $MUSTER_TEST_ROUNDS rounds"
	scripts/leftovers.sh list >"$out/before.txt"
	lint
	step examples check_examples || true

	mapfile -t race < <(existing "${race_packages[@]}")
	mapfile -t drivers < <(existing "${driver_packages[@]}")
	mapfile -t cluster_tests < <(existing "${cluster_packages[@]}")
	mapfile -t ordinary < <(existing "${ordinary_packages[@]}")
	[ "$(id -u)" -eq 0 ] || ordinary=()
	mapfile -t plain < <("$go" list ./... | sed "s|^muster|.|" | grep -vxF "$(printf '%s\n' "${race[@]}" "${ordinary[@]}" "${drivers[@]}" "${cluster_tests[@]}")")
	start_clusters
	step clusters check_clusters || true
	if [ "$(id -u)" -eq 0 ]; then
		say "tests on a real Slurm and a real Grid Engine, as an ordinary user, beside all that follow"
		on_clusters &
		beside=$!
	fi
	say "tests with the race detector"
	tests "$out/race.json" -race -parallel 8 "${race[@]}"
	say "tests"
	tests "$out/main.json" "${plain[@]}"
	if [ "$(id -u)" -eq 0 ]; then
		say "tests that take root, of packages that do not"
		tests "$out/root.json" -run "^($only_root)\$" "${ordinary[@]}"
		say "tests as an ordinary user"
		mapfile -t as_user < <(existing "${user_packages[@]}" "${ordinary_packages[@]}")
		MUSTER_TEST_ENV='' step ordinary-user scripts/asuser.sh "$out/user.json" "${as_user[@]}" || true
		wait "$beside" || true
		beside=
		step drivers-on-clusters check_on drivers || true
		step end-to-end-on-clusters check_on clusters || true
		cat "$out/drivers.json" "$out/clusters.json" >>"$out/user.json"
		passes=(-ordinary user race="$out/race.json" main="$out/main.json" root="$out/root.json" user="$out/user.json")
	else
		say "tests on a real Slurm and a real Grid Engine"
		# shellcheck disable=SC1090,SC1091 # written by the clusters
		(
			for env in "$clusters"/*/env; do . "$env"; done
			tests "$out/drivers.json" "${drivers[@]}"
			tests "$out/clusters.json" "${cluster_tests[@]}"
		) || true
		# The whole run was an ordinary user's; its passes are judged as one.
		cat "$out"/{race,main,drivers,clusters}.json >"$out/all.json"
		passes=(-ordinary main main="$out/all.json")
	fi
	step clusters-end stop_clusters || true
	clusters=
	step leftovers env -u MUSTER_TEST_ENV scripts/leftovers.sh check "$out/before.txt" || true
	judge -must scripts/must-run.txt -may scripts/may-skip.txt "${passes[@]}"
	;;

*)
	say "usage: test.sh [all|fast|lint]" >&2
	exit 2
	;;
esac
