#!/usr/bin/env bash
# cluster.sh start slurm|gridengine [NODES [CPUS]]   brings up a real cluster on this machine, and says how to use it
# cluster.sh stop [slurm|gridengine]                 ends it; both when none is named
#
# What make cluster-slurm, make cluster-gridengine and make cluster-stop do. The clusters
# are below $MUSTER_CLUSTERS, /var/lib/muster-clusters when that is not set. Needs root, or sudo
# without a password.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
clusters=${MUSTER_CLUSTERS:-/var/lib/muster-clusters}

usage() {
	echo "usage: cluster.sh start slurm|gridengine [NODES [CPUS]] | cluster.sh stop [slurm|gridengine]" >&2
	exit 2
}

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	if ! type -P sudo >/dev/null || ! sudo -n true 2>/dev/null; then
		echo "cluster.sh: starting and stopping clusters needs root, or sudo without a password: their nodes have namespaces of their own" >&2
		exit 3
	fi
	as_root=(sudo -n)
fi

start() {
	local kind=$1 dir=$clusters/$1
	shift
	if "${as_root[@]}" test -e "$dir"; then
		echo "cluster.sh: there is a cluster in $dir already; make cluster-stop ends it" >&2
		exit 1
	fi
	"$here/deps.sh" test
	"${as_root[@]}" mkdir -p "$clusters"
	"${as_root[@]}" "$here/cluster-$kind.sh" start "$dir" "$@"
	echo "$kind runs in $dir"
	echo "to use it, as an ordinary user:   . $dir/env"
	echo "folder that all its nodes see:    $dir/shared"
	echo "to end it:                        make cluster-stop"
}

stop() {
	local kind
	for kind in "$@"; do
		"${as_root[@]}" "$here/cluster-$kind.sh" stop "$clusters/$kind"
	done
	"${as_root[@]}" rmdir "$clusters" 2>/dev/null || true # another cluster may be in it
}

[ $# -ge 1 ] || usage
verb=$1
shift
for kind in ${1:+"$1"}; do
	case $kind in slurm | gridengine) ;; *) usage ;; esac
done
case $verb in
start)
	{ [ $# -ge 1 ] && [ $# -le 3 ]; } || usage
	start "$@"
	;;
stop)
	[ $# -le 1 ] || usage
	[ $# -eq 1 ] || set -- slurm gridengine
	stop "$@"
	;;
*) usage ;;
esac
