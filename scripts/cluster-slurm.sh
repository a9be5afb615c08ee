#!/usr/bin/env bash
# cluster-slurm.sh start DIR [NODES [CPUS]]   a real Slurm on this machine, below DIR
# cluster-slurm.sh stop DIR                    ends everything of it and removes DIR
#
# Needs root, and Debian's slurm-wlm and munge. DIR is absolute and new. When start
# returns, NODES (8) nodes n1, n2 … of CPUS (4) processors each are idle; the processors are
# configured, not real. stop may be called twice, and after a start that failed halfway.
#
#   DIR/env     to be sourced by whoever submits: SLURM_CONF, MUSTER_TEST_SLURM=DIR
#   DIR/shared  the one folder that the nodes and the submitting side see under the same
#               name; everybody may write there. A node's /tmp, /var/tmp and /dev/shm are its own.
#   DIR/faults  a FIFO for lines "ID VERB [NODE]", open to everybody; what became of it stands
#               in DIR/done/ID: "ok", or what went wrong. Verbs:
#                 kill-node NODE    a power cut: its daemon and everything on it, by SIGKILL
#                 kill-daemon NODE  slurmd alone; the processes of its jobs live on
#                 start-node NODE   the node, or only its daemon, is there again
#                 stop-controller   slurmctld is there and does not answer (SIGSTOP)
#                 continue-controller, kill-controller, start-controller
#   DIR/log     what the daemons say
#
# Settings, from the environment: CLUSTER_MIN_JOB_AGE (300): seconds for which slurmctld remembers
# what has ended; CLUSTER_MAX_ARRAY (1001): MaxArraySize, one more than the elements of an array;
# CLUSTER_NODE_TIMEOUT (30), CLUSTER_MESSAGE_TIMEOUT (10): seconds after which a node that says nothing
# is lost, and a message. Short ones make lost nodes testable; Slurm's own are 300 and 10.
#
# Each node is a slurmd in mount, PID and UTS namespaces of its own, so that it has its
# own /tmp, its own host name, and can be lost as a whole. There is no slurmdbd, so no accounting
# and no QOS: both would need a database server.
set -euo pipefail

usage() {
	echo "usage: cluster-slurm.sh start DIR [NODES [CPUS]] | cluster-slurm.sh stop DIR" >&2
	exit 2
}
die() {
	echo "cluster-slurm.sh: $*" >&2
	exit 1
}

# eventually SECONDS COMMAND…: tries it until it succeeds.
eventually() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

# members: the processes of this cluster. Its daemons carry a mark in their environment.
members() {
	grep -lzxsF "MUSTER_CLUSTER=$dir" /proc/[0-9]*/environ | cut -d/ -f3 | grep -vxF $$ || true
}

# free_ports COUNT: the first of so many TCP ports in a row that nobody listens on,
# below those that the kernel gives to clients.
free_ports() {
	local count=$1 first port used tries
	used=" $(awk 'FNR > 1 && $4 == "0A" { print $2 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null |
		while IFS=: read -r _ port; do printf '%d ' "0x$port"; done)"
	for tries in {1..200}; do
		first=$((10000 + (RANDOM * 32768 + RANDOM) % (22000 - count)))
		for ((port = first; port < first + count; port++)); do
			case $used in *" $port "*) continue 2 ;; esac
		done
		echo "$first"
		return
	done
	die "no $count free ports in a row after $tries tries"
}

write_config() {
	local nodes=$1 cpus=$2 port=$3 first=$(($3 + 1)) last
	last=$((port + nodes))
	cat >"$dir/etc/slurm.conf" <<END
ClusterName=muster
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket,cred_expire=15
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmctldPidFile=$dir/state/slurmctld.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdPidFile=$dir/nodes/%n/slurmd.pid
SlurmdSpoolDir=$dir/nodes/%n/spool
SlurmdLogFile=$dir/log/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=64
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
TreeWidth=256
KillWait=5
SlurmdTimeout=${CLUSTER_NODE_TIMEOUT:-30}
SlurmctldTimeout=30
MessageTimeout=${CLUSTER_MESSAGE_TIMEOUT:-10}
BatchStartTimeout=${CLUSTER_MESSAGE_TIMEOUT:-10}
ReturnToService=2
MinJobAge=${CLUSTER_MIN_JOB_AGE:-300}
MaxArraySize=${CLUSTER_MAX_ARRAY:-1001}
MaxJobCount=50000
GresTypes=gpu
NodeName=n[1-$nodes] NodeAddr=127.0.0.1 Port=$first-$last CPUs=$cpus Boards=1 SocketsPerBoard=1 CoresPerSocket=$cpus ThreadsPerCore=1 RealMemory=$((cpus * 4096)) Feature=plain Gres=gpu:toy:1
PartitionName=DEFAULT Nodes=ALL State=UP MaxTime=UNLIMITED PriorityTier=1
PartitionName=main Default=YES
PartitionName=short MaxTime=2
PartitionName=shared OverSubscribe=YES:4
PartitionName=urgent PriorityTier=2 PreemptMode=OFF
PartitionName=private AllowGroups=root
PartitionName=closed State=DOWN
END
	[ "$nodes" -gt 1 ] || sed -i 's/^NodeName=n\[1-1\]/NodeName=n1/; s/Port=\([0-9]*\)-[0-9]*/Port=\1/' "$dir/etc/slurm.conf"
	echo "Name=gpu Type=toy File=/dev/null" >"$dir/etc/gres.conf"
	echo "CgroupPlugin=cgroup/v1" >"$dir/etc/cgroup.conf"
	cat >"$dir/env" <<END
export SLURM_CONF=$dir/etc/slurm.conf
export MUSTER_TEST_SLURM=$dir
END
}

all_idle() {
	[ "$(sinfo --noheader --Node --partition=main --format=%t 2>/dev/null | grep -cx idle)" = "$1" ]
}

# settled NODES: the nodes are idle, or there is nobody any more to make them so.
settled() { all_idle "$1" || ! kill -0 "$keeper" 2>/dev/null; }

start() {
	local nodes=${1:-8} cpus=${2:-4} program lock
	[ ! -e "$dir" ] || die "$dir is there already; stop what is in it first: $0 stop $dir"
	case "$nodes$cpus" in *[!0-9]*) usage ;; esac
	if [ "$nodes" -lt 1 ] || [ "$cpus" -lt 1 ]; then usage; fi
	for program in munged mungekey slurmctld slurmd sbatch unshare flock; do
		type -P "$program" >/dev/null || die "$program is missing: apt-get install slurm-wlm munge util-linux"
	done
	mkdir -p "$dir"
	chmod 0755 "$dir"
	# Whatever happens from here on, nothing of a cluster that is not ready stays.
	trap 'stop' EXIT
	mkdir "$dir"/{etc,log,munge,state,nodes,done,shared}
	chmod 0711 "$dir/nodes"
	chmod 1777 "$dir/shared"
	mkfifo "$dir/faults"
	chmod 0622 "$dir/faults"
	mungekey --create --keyfile="$dir/munge/key"

	# Two clusters that start at once must not choose the same ports.
	lock=/run/lock/muster-cluster
	exec 9>"$lock"
	flock 9
	write_config "$nodes" "$cpus" "$(free_ports $((nodes + 1)))"
	export SLURM_CONF=$dir/etc/slurm.conf
	env -i PATH="$PATH" MUSTER_CLUSTER="$dir" SLURM_CONF="$SLURM_CONF" \
		setsid "$BASH" "$self" keep "$dir" "$nodes" >>"$dir/log/keeper.log" 2>&1 </dev/null 9>&- &
	keeper=$!
	if ! eventually 90 settled "$nodes" || ! all_idle "$nodes"; then
		tail -n 5 "$dir"/log/{keeper,munged,slurmctld,n1}.log >&2 || true
		sinfo >&2 || true
		die "the nodes did not become idle"
	fi
	flock -u 9
	trap - EXIT
	echo "$nodes Slurm nodes of $cpus processors below $dir; to use them: . $dir/env"
}

stop() {
	local pid
	[ -e "$dir" ] || return 0
	# The keeper ends the others and collects them, so that none stays as a zombie.
	if pid=$(cat "$dir/keeper.pid" 2>/dev/null) && grep -qzxsF "MUSTER_CLUSTER=$dir" "/proc/$pid/environ"; then
		kill -TERM "$pid" 2>/dev/null || true
		eventually 20 gone || true
	fi
	for pid in $(members); do kill -KILL "$pid" 2>/dev/null || true; done
	eventually 20 gone || die "some processes of $dir do not end: $(members | tr '\n' ' ')"
	rm -rf --one-file-system "$dir"
}
gone() { [ -z "$(members)" ]; }

# The rest is the keeper's: the parent of all daemons, which also carries out faults.

declare -A place # node → its process here

start_controller() {
	slurmctld -D </dev/null >>"$dir/log/slurmctld.out" 2>&1 &
	controller=$!
	eventually 30 answers || { echo "slurmctld does not answer, see $dir/log/slurmctld.log" && return 1; }
}
answers() { scontrol ping 2>/dev/null | grep -q ' UP$'; }

start_node() {
	local node=$1 home=$dir/nodes/$1
	if [ -n "${place[$node]:-}" ] && [ -e "/proc/${place[$node]}" ]; then
		pgrep --parent "$(init_of "$node")" --exact slurmd >/dev/null || echo start >"$home/start"
		return
	fi
	mkdir -p "$home"/{spool,fs}
	[ -p "$home/start" ] || mkfifo "$home/start"
	unshare --mount --uts --pid --fork --mount-proc "$BASH" "$self" node "$dir" "$node" >>"$dir/log/$node.out" 2>&1 </dev/null &
	place[$node]=$!
}

# init_of NODE: the first process in the node's PID namespace.
init_of() { pgrep --parent "${place[$1]}"; }

kill_node() {
	local init
	init=$(init_of "$1") || { echo "node $1 is not up" && return 1; }
	kill -KILL "$init"
	# The namespace is gone when its first process is: everything in it ended before.
	wait "${place[$1]}" 2>/dev/null || true
	unset "place[$1]"
}

kill_daemon() {
	local init pid
	init=$(init_of "$1") || { echo "node $1 is not up" && return 1; }
	pid=$(pgrep --parent "$init" --exact slurmd) || { echo "node $1 has no slurmd" && return 1; }
	# shellcheck disable=SC2086 # there may be several
	kill -KILL $pid
	eventually 10 dead "$init"
}
dead() { ! pgrep --parent "$1" --exact slurmd >/dev/null; }

fault() {
	case "$1" in
	kill-node | kill-daemon | start-node)
		[ -d "$dir/nodes/${2:-/}" ] || { echo "there is no node ${2:-}" && return 1; }
		"${1//-/_}" "$2"
		;;
	stop-controller) kill -STOP "$controller" ;;
	continue-controller) kill -CONT "$controller" ;;
	kill-controller)
		kill -KILL "$controller"
		wait "$controller" 2>/dev/null || true
		controller= # the number may soon be another process's
		;;
	start-controller)
		if [ -n "$controller" ]; then
			echo "slurmctld is up"
			return 1
		fi
		start_controller
		;;
	*) echo "unknown verb $1" && return 1 ;;
	esac
}

keep() {
	local nodes=$1 n id verb node said pid
	cd / # the nodes may not see the folder that start was called in
	echo $$ >"$dir/keeper.pid"
	trap 'finish' EXIT
	trap 'exit 0' TERM INT HUP
	munged --foreground --force --num-threads=10 --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/munge/pid" \
		--log-file="$dir/log/munged.log" --seed-file="$dir/munge/seed" </dev/null >>"$dir/log/munged.log" 2>&1 &
	munged=$!
	eventually 10 test -S "$dir/munge/socket"
	# The nodes come up while the controller does; they try until it answers.
	for ((n = 1; n <= nodes; n++)); do start_node "n$n"; done
	start_controller
	exec 3<>"$dir/faults"
	while read -r id verb node <&3; do
		case "$id" in '' | *[!A-Za-z0-9_-]*) continue ;; esac
		# In this shell, as it knows its children, and not in a substitution's.
		if fault "$verb" "$node" >"$dir/state/said" 2>&1; then said=ok; else said=$(cat "$dir/state/said"); fi
		echo "${said:-failed}" >"$dir/state/done"
		mv "$dir/state/done" "$dir/done/$id"
	done
}

# finish ends what the keeper has started, and collects it.
finish() {
	trap '' TERM INT HUP
	local node
	for node in "${!place[@]}"; do pkill -KILL --parent "${place[$node]}" || true; done
	kill -KILL "${controller:-$$x}" "${munged:-$$x}" 2>/dev/null || true
	wait
}

# node NAME: the first process on a node. It starts slurmd, again whenever told, and
# collects what the node's processes leave behind.
node() {
	local name=$1 home=$dir/nodes/$1 hidden own
	hostname "$name"
	for hidden in tmp var/tmp dev/shm; do
		own=$home/fs/$hidden
		mkdir -p "$own"
		[ "$hidden" != dev/shm ] || mount -t tmpfs -o nosuid,nodev tmpfs "$own"
		chmod 1777 "$own"
		case $dir/ in
		/"$hidden"/*) # keeps its place also in the node's own folder
			mkdir -p "$own/${dir#/"$hidden"/}"
			mount --rbind "$dir" "$own/${dir#/"$hidden"/}"
			;;
		esac
		mount --rbind "$own" "/$hidden"
	done
	exec 3<>"$home/start"
	while :; do
		slurmd -D -N "$name" 3>&- &
		read -r _ <&3
	done
}

self=$(realpath "$0")
command=${1:-}
dir=${2:-}
case $dir in
/*[!A-Za-z0-9/._-]* | */) usage ;; # slurm.conf knows no quotes
/*) ;;
*) usage ;;
esac
shift 2
[ "$(id -u)" -eq 0 ] || die "needs root: the nodes are namespaces"
case $command in
start | keep | node) "$command" "$@" ;;
stop) stop ;;
*) usage ;;
esac
