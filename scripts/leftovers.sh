#!/usr/bin/env bash
# leftovers.sh list [USER…]          what muster, Wine and tests have left on this machine
# leftovers.sh check BASELINE [USER…] the same without what BASELINE, an earlier list, has;
#                                     prints it and fails if there is any
# For the users named, or the caller: processes (zombies too), mounts, temporary
# folders, run directories. Unless users are named: what is left of clusters that
# scripts/test.sh has started, whoever's it is.
# Processes that are just ending get some seconds.
set -euo pipefail

usage() {
	echo "usage: leftovers.sh list [USER…] | leftovers.sh check BASELINE [USER…]" >&2
	exit 2
}

# ancestors: this process and those above it, one a line.
ancestors() {
	local pid=$$
	while [ "$pid" -gt 1 ]; do
		echo "$pid"
		pid=$(awk '/^PPid:/ { print $2 }' "/proc/$pid/status")
	done
}

# processes UID: those that are called like muster's or Wine's, Windows programs and
# test binaries, and whatever carries the mark that agents give all they start.
# The start time beside the number tells a process from a later one of that number.
processes() {
	local uid=$1 dir pid comm argv0 fields why above
	above=" $(ancestors | tr '\n' ' ') "
	for dir in /proc/[0-9]*; do
		pid=${dir#/proc/}
		[ "$(stat -c %u "$dir" 2>/dev/null)" = "$uid" ] || continue
		case $above in *" $pid "*) continue ;; esac
		comm=$(cat "$dir/comm" 2>/dev/null) || continue
		argv0=$({ tr '\0' '\n' <"$dir/cmdline" | head -n 1; } 2>/dev/null || true)
		why=
		case "$comm|${argv0##*[/\\]}" in
		wine* | muster* | LLMapReduce* | *.exe | *.exe\|* | *.test | *.test\|* | *\|wine* | *\|muster* | *\|LLMapReduce) why=name ;;
		*) if { tr '\0' '\n' <"$dir/environ" | grep -q '^MUSTER_RUN='; } 2>/dev/null; then why=mark; fi ;;
		esac
		[ -n "$why" ] || continue
		# After the name in parentheses: state, parent, …, start time as 20th.
		fields=$(sed 's/.*) //' "$dir/stat" 2>/dev/null) || continue
		echo "process $pid started $(cut -d' ' -f20 <<<"$fields") state ${fields%% *} $comm ${argv0:0:100}"
	done
}

mounts() {
	awk '$2 ~ /muster|wine/ { print "mount " $2 " " $3 }' /proc/self/mounts
}

# clusters: daemons and jobs of clusters, and their folders.
clusters() {
	local dir pid above
	above=" $(ancestors | tr '\n' ' ') "
	for dir in /proc/[0-9]*; do
		pid=${dir#/proc/}
		case $above in *" $pid "*) continue ;; esac
		if { tr '\0' '\n' <"$dir/environ" | grep -qE '^(SLURM_CONF|SGE_ROOT|MUSTER_[A-Z_]+)=/var/lib/muster-clusters\.'; } 2>/dev/null ||
			{ tr '\0' ' ' <"$dir/cmdline" | grep -qE '^[^ ]*(slurm|sge_|munged).*/var/lib/muster-clusters\.'; } 2>/dev/null; then
			echo "cluster process $pid $(cat "$dir/comm" 2>/dev/null)"
		fi
	done
	find /var/lib -maxdepth 2 -path '/var/lib/muster-clusters.*' -printf 'cluster folder %p\n' 2>/dev/null || true
}

# files UID: temporary folders of the user, and its run directories.
files() {
	local uid=$1 home
	find /tmp /var/tmp /dev/shm "${TMPDIR:-/tmp}" -maxdepth 1 -user "$uid" \
		\( -name '.wine-*' -o -name 'wine-*' -o -name 'muster-*' -o -name '.muster-*' \) -printf 'file %p\n' 2>/dev/null || true
	home=$(getent passwd "$uid" | cut -d: -f6)
	for home in "$home" "${HOME:-}"; do
		[ -n "$home" ] || continue
		find "${home%/}/.local/state/muster/runs" -mindepth 1 -maxdepth 1 -user "$uid" -printf 'run %p\n' 2>/dev/null || true
	done
}

list() {
	local user uid
	if [ $# -eq 0 ]; then
		clusters
		set -- "$(id -un)"
	fi
	for user in "$@"; do
		uid=$(id -u "$user")
		processes "$uid"
		files "$uid"
	done
	mounts
}

[ $# -ge 1 ] || usage
command=$1
shift
case $command in
list) list "$@" | sort -u ;;
check)
	[ $# -ge 1 ] || usage
	baseline=$1
	shift
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		# A state may change meanwhile: compare without it.
		left=$(list "$@" | sort -u | awk -v baseline="$baseline" '
			function plain(line) { sub(/ state ./, "", line); return line }
			BEGIN { while ((getline line < baseline) > 0) known[plain(line)] = 1 }
			!(plain($0) in known)')
		[ -n "$left" ] || exit 0
		sleep 0.5
	done
	echo "left behind:"
	echo "$left"
	exit 1
	;;
*) usage ;;
esac
