#!/usr/bin/env bash
# deps.sh [build|demo|test|bench]: installs what is missing for that, and for what
# comes before it in the list. Says nothing when everything is there. Needs root or
# sudo only when something is missing.
set -euo pipefail

what=${1:-test}
here=$(cd "$(dirname "$0")" && pwd)
missing=()

# need FILE-OR-COMMAND PACKAGE: notes the package when the thing is not there.
need() {
	case $1 in
	/*) [ -e "$1" ] || missing+=("$2") ;;
	*) type -P "$1" >/dev/null || missing+=("$2") ;;
	esac
}

need_build() {
	type -P go >/dev/null || [ -x /usr/local/go/bin/go ] || missing+=(golang-go)
	need /etc/ssl/certs/ca-certificates.crt ca-certificates # for Go modules
}
need_demo() {
	need_build
	need gcc gcc
	need /usr/include/stdio.h libc6-dev
	need make make
	need x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64
	need wine wine
	need /usr/lib/wine/wine64 wine64
}
need_test() {
	need_demo
	need git git
	need shellcheck shellcheck
	need strace strace
	need ps procps
	need_clusters
	need qemu-system-x86_64 qemu-system-x86
	need qemu-img qemu-utils
	need mmdebstrap mmdebstrap # images of VMs
	need mke2fs e2fsprogs
	need fakechroot fakechroot # … for ordinary users
	need fakeroot fakeroot
}
# Slurm and Grid Engine, on which the tests run too. Their daemons are installed, and
# started by nobody but scripts/cluster-*.sh.
need_clusters() {
	need /usr/sbin/slurmctld-wlm slurmctld
	need /usr/sbin/slurmd-wlm slurmd
	need /usr/bin/sbatch slurm-client
	need /usr/sbin/munged munge
	need /usr/sbin/sge_qmaster gridengine-master
	need /usr/sbin/sge_execd gridengine-exec
	need /usr/bin/qsub gridengine-client
	need /usr/sbin/ip iproute2 # nodes have a network of their own
}
need_bench() {
	need_test
	need parallel parallel
	need perf linux-perf # the phases of a start
}

case $what in
build | demo | test | bench) "need_$what" ;;
*)
	echo "usage: deps.sh [build|demo|test|bench]" >&2
	exit 2
	;;
esac

if [ ${#missing[@]} -gt 0 ]; then
	if ! type -P apt-get >/dev/null; then
		echo "missing: ${missing[*]} (Debian's names; this system has no apt-get, so install them its own way)" >&2
		exit 3
	fi
	if [ "$(id -u)" -eq 0 ]; then
		as_root=(env)
	elif type -P sudo >/dev/null && sudo -n true 2>/dev/null; then
		as_root=(sudo -n env)
	elif type -P sudo >/dev/null && [ -t 0 ]; then
		as_root=(sudo env) # asks for the password
	else
		echo "missing: ${missing[*]}; without root or sudo they cannot be installed here: ask an administrator for apt-get install ${missing[*]}" >&2
		exit 3
	fi
	echo "installing ${missing[*]}" >&2
	log=$(mktemp)
	policy=
	trap 'rm -f "$log"; [ -z "$policy" ] || "${as_root[@]}" rm -f "$policy"' EXIT
	# No package is to start its daemons, while this lasts: not Slurm's, and no mail server
	# that Grid Engine brings along. A policy that is there already is the administrator's.
	if [[ " ${missing[*]} " =~ \ (slurm|munge|gridengine) ]] && [ ! -e /usr/sbin/policy-rc.d ]; then
		policy=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" sh -c "cat >$policy && chmod 755 $policy"
	fi
	apt() { "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" </dev/null >"$log" 2>&1; }
	# The lists may be missing or stale; try with those that are there first.
	if ! apt install -y --no-install-recommends "${missing[@]}" &&
		! { apt update && apt install -y --no-install-recommends "${missing[@]}"; }; then
		tail -n 20 "$log" >&2
		echo "apt-get could not install ${missing[*]} (its own words are above)" >&2
		exit 3
	fi
fi

# A kernel to boot in machines, for tests. Its package is unpacked and not installed: it is to change nothing
# of what this host itself boots.
kernel=/var/cache/muster-test/linux
fetch_kernel() {
	local work name
	work=$(mktemp -d)
	chmod 755 "$work"
	if name=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }') && [ -n "$name" ] &&
		(cd "$work" && apt-get -qq download "$name" >/dev/null 2>&1 && dpkg-deb -x "$name"_*.deb tree) &&
		"$@" mkdir -p "$kernel" && "$@" cp -r --no-preserve=ownership "$work/tree/lib" "$work/tree/boot" "$kernel/"; then
		echo "unpacked $name into $kernel, for tests" >&2
	else
		echo "no kernel for tests of virtual machines: linux-image-cloud-amd64 could not be fetched from a Debian archive into $kernel; they will be skipped" >&2
	fi
	rm -rf "$work"
}
case $what in
test | bench)
	if ! compgen -G "$kernel/boot/vmlinuz-*" >/dev/null; then
		if [ "$(id -u)" -eq 0 ]; then
			fetch_kernel env
		elif type -P sudo >/dev/null && sudo -n true 2>/dev/null; then
			fetch_kernel sudo -n
		else
			echo "no kernel for tests of virtual machines: scripts/deps.sh test, as root, unpacks one into $kernel; they will be skipped" >&2
		fi
	fi
	;;
esac

# Go may have to fetch a newer toolchain; better now than in the middle.
"$here/go.sh" version >/dev/null
