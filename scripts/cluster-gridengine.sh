#!/usr/bin/env bash
# cluster-gridengine.sh start DIR [NODES [CPUS]]   a real Grid Engine below DIR, ready when it returns (8 nodes, 4 CPUs)
# cluster-gridengine.sh stop DIR                   ends it and removes DIR; also what a failed start has left
#
# For tests, on one machine, as root. Each node is a sge_execd in mount, PID, UTS
# and network namespaces of its own: with its own name and address, a private
# /tmp, and a virtual cable to a bridge on this machine, where sge_qmaster and
# the people who submit are. The system's own Grid Engine is left alone.
#
#   DIR/env      to be sourced: PATH, SGE_ROOT and so on. Any ordinary user can use the cluster
#   DIR/shared   the folder that all nodes and the submitting side see
#   DIR/faults   lines "ID VERB [NODE]" written to this FIFO are carried out; then DIR/done/ID holds "ok" or
#                what went wrong. Verbs: kill-node kill-daemon start-node NODE,
#                stop-controller continue-controller kill-controller start-controller
#   DIR/log      what the daemons say
#
# h_vmem is consumable, 4G unless asked for: a job for which it is 0 gets no memory at all.
# Small numbers where a test would wait or fill: 100 tasks to an array, 5 s from
# notice to SIGKILL. A silent node is unknown after 15 s, and the jobs of one that was killed
# start elsewhere 20 s later (see push). reschedule_unknown is longer than nodes take to
# find a sge_qmaster that was started again.
set -euo pipefail

usage() {
	echo "usage: cluster-gridengine.sh start DIR [NODES [CPUS]] | cluster-gridengine.sh stop DIR" >&2
	exit 2
}
fail() {
	echo "cluster-gridengine.sh: $*" >&2
	exit 1
}

[ $# -ge 2 ] || usage
verb=$1 dir=${2%/}
[ "${dir:0:1}" = / ] || fail "$dir is no absolute path"
[ "$(id -u)" -eq 0 ] || fail "only root can start daemons with namespaces of their own"

export SGE_ROOT=$dir/root SGE_CELL=default
unset SGE_ARCH SGE_CLUSTER_NAME
ge=/usr/lib/gridengine
common=$SGE_ROOT/$SGE_CELL/common
self=$(realpath "$0")

# as_admin COMMAND…: with the rights of Grid Engine's manager.
as_admin() { setpriv --reuid=sgeadmin --regid=sgeadmin --clear-groups "$@"; }

# until SECONDS COMMAND…: waits for a condition.
until_() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

# as_manager COMMAND…: one of Grid Engine's, among the controller's names: they are looked up here.
as_manager() {
	local command=$1
	shift
	nsenter -t "$(cat "$dir/run/qmaster")" -m --wd="$dir/etc" -- \
		setpriv --reuid=sgeadmin --regid=sgeadmin --clear-groups "$ge/$command" "$@"
}

alive() { [ -e "$dir/run/$1" ] && kill -0 "$(cat "$dir/run/$1")" 2>/dev/null; }

# ours PID: whether a process belongs to this cluster, whatever number a file holds.
ours() { { tr '\0' '\n' <"/proc/$1/environ" | grep -qxF "SGE_ROOT=$SGE_ROOT"; } 2>/dev/null; }

# gone PID: it has ended; not every machine's first process collects what falls to it.
gone() { [ "$(awk '/^State:/ { print $2 }' "/proc/$1/status" 2>/dev/null)" = "Z" ] || [ ! -e "/proc/$1" ]; }

# end NAME: SIGKILL to what run/NAME names.
end() {
	local pid
	pid=$(cat "$dir/run/$1" 2>/dev/null) || return 0
	if ours "$pid"; then
		kill -KILL "$pid" 2>/dev/null || true
		until_ 20 gone "$pid" || return 1
	fi
	rm -f "$dir/run/$1"
}

# background NAME COMMAND…: starts it in a session of its own, holding nothing of ours open.
background() {
	local name=$1
	shift
	# Nothing of the caller's environment: sge_execd hands its own to jobs.
	setsid env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 SGE_ND=1 SGE_ROOT="$SGE_ROOT" SGE_CELL="$SGE_CELL" \
		SGE_QMASTER_PORT="$SGE_QMASTER_PORT" SGE_EXECD_PORT="$SGE_EXECD_PORT" "$@" </dev/null >>"$dir/log/$name" 2>&1 9>&- &
	echo $! >"$dir/run/$name"
	disown # or bash would tell of its end
}

## The controller

start_controller() {
	! alive qmaster || return 0
	# Its own /etc/hosts knows the nodes.
	# shellcheck disable=SC2016 # expanded by the inner shell
	background qmaster unshare --mount sh -c 'mount --bind "$1/etc/hosts" /etc/hosts && exec "$2/sge_qmaster"' sh "$dir" "$ge"
	until_ 60 as_admin "$ge/qconf" -sh || fail "sge_qmaster does not answer: $(tail -n 3 "$dir/log/qmaster" "$dir/spool/qmaster/messages" 2>/dev/null)"
}

signal_controller() {
	alive qmaster || fail "there is no sge_qmaster"
	kill -"$1" "$(cat "$dir/run/qmaster")"
}

## The nodes

cable() { echo "mge$(cat "$dir/etc/net")n${1#n}"; }

# first NAME: the process number of the node's first process, seen from here.
first() { cat "/proc/$(cat "$dir/run/$1")/task/$(cat "$dir/run/$1")/children"; }

start_node() {
	local node=$1 pid
	if alive "$node"; then
		# Only the daemon was killed: its node is still there.
		pid=$(first "$node")
		if pgrep -P "${pid% }" -x sge_execd >/dev/null; then return 0; fi
		kill -USR1 "${pid% }"
		return 0
	fi
	background "$node" nsenter --net="/run/netns/$(cable "$node")" \
		unshare --mount --uts --pid --fork --kill-child --mount-proc bash "$self" node "$dir" "$node"
	until_ 20 grep -q . "/proc/$(cat "$dir/run/$node")/task/$(cat "$dir/run/$node")/children" || fail "$node did not start: $(cat "$dir/log/$node")"
}

# plug NODE: a network namespace for the node, and a cable from there to the bridge. Both stay
# when the node is killed: what is sent there is then refused at once.
plug() {
	local net cable
	net=$(cat "$dir/etc/net") cable=$(cable "$1")
	ip netns add "$cable"
	ip link add "$cable" type veth peer name eth0 netns "$cable"
	ip link set "$cable" master "mge$net" up
	ip -n "$cable" link set lo up
	ip -n "$cable" address add "10.$net.0.$((10 + ${1#n}))/16" dev eth0
	ip -n "$cable" link set eth0 up
}

# The first process of a node. It reaps what falls to it, and starts the daemon
# again on SIGUSR1.
node() {
	local node=$1
	hostname "$node"
	private /tmp
	private /var/tmp
	private /dev/shm
	mount --bind "$dir/etc/hosts.nodes" /etc/hosts
	trap daemon USR1
	daemon
	while :; do
		sleep 1000 &
		wait || true
	done
}

daemon() { "$ge/sge_execd" & }

# private FOLDER: puts an empty one in its place, in which DIR is still to be seen.
private() {
	local mine=$dir/nodes/$node$1
	[ -d "$1" ] || return 0
	mkdir -p "$mine"
	mount -t tmpfs -o mode=1777 tmpfs "$mine"
	case $dir/ in
	"$1"/*)
		mkdir -p "$mine/${dir#"$1"/}"
		mount --bind "$dir" "$mine/${dir#"$1"/}"
		;;
	esac
	mount --rbind "$mine" "$1"
}

# As a power cut, but that the network still answers that nobody is there: without that sge_qmaster
# waits for the dead, meanwhile does not hear the others, and all nodes are unknown.
kill_node() {
	local pid
	alive "$1" || fail "$1 does not run"
	pid=$(first "$1")
	kill -KILL "${pid% }"
	end "$1"
	until_ 20 gone "${pid% }" || true
}

kill_daemon() {
	local pid
	alive "$1" || fail "$1 does not run"
	pid=$(first "$1")
	pkill -KILL -P "${pid% }" -x sge_execd || fail "$1 has no sge_execd"
}

# unknown NODE: sge_qmaster has not heard of it for long.
unknown() { timeout 5 "$ge/qstat" -f -q "all.q@$1" | grep -qE '^all\.q@.* [a-zA-Z]*u[a-zA-Z]*$'; }

# push NODE: starts a lost node's jobs elsewhere, as reschedule_unknown has sge_qmaster do by
# itself some time later; but it forgets those that it was just delivering. It is asked again,
# for it may be silent meanwhile, and one request is not always enough. stop ends this too.
push() {
	{
		until_ 300 unknown "$1" || exit 0
		sleep 20
		for _ in {1..20}; do
			if unknown "$1"; then as_manager qmod -rq "all.q@$1" || true; fi
			sleep 10
		done
	} </dev/null >>"$dir/log/faults" 2>&1 8>&- &
	echo $! >"$dir/run/push-$1"
}

## Faults

serve() {
	local id verb node extra answer
	# For reading and writing, or each writer's end would be ours.
	exec 8<>"$dir/faults"
	while read -r -u 8 id verb node extra; do
		[[ $id =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || continue
		answer=$(fault "$verb" "$node" "$extra" 2>&1 8>&-) && answer=ok
		echo "${answer:-$verb failed}" >"$dir/done/.$id"
		mv "$dir/done/.$id" "$dir/done/$id"
	done
}

fault() {
	case $1 in
	kill-node | kill-daemon | start-node)
		grep -qxF -- "$2" "$dir/etc/names" || fail "there is no node $2"
		;;
	esac
	case $1 in
	kill-node) kill_node "$2" && push "$2" ;;
	kill-daemon) kill_daemon "$2" && push "$2" ;;
	start-node) start_node "$2" ;;
	stop-controller) signal_controller STOP ;;
	continue-controller) signal_controller CONT ;;
	kill-controller) end qmaster ;;
	start-controller) start_controller ;;
	*) fail "there is no verb $1" ;;
	esac
}

## Start and stop

# take_net: a free number for the cluster's network and ports, 10.N.0.0/16.
take_net() {
	local n
	for n in $(seq 101 199); do
		if ip link add "mge$n" type bridge 2>/dev/null; then
			ip address add "10.$n.0.1/16" dev "mge$n"
			ip link set "mge$n" up
			echo "$n" >"$dir/etc/net"
			return
		fi
	done
	fail "no network is free (mge101 to mge199 are all there: ip link)"
}

write_files() {
	local net=$1 nodes=$2 me i
	me=$(hostname)
	getent hosts "$me" >/dev/null || fail "this machine's name, $me, is not in /etc/hosts"
	for i in $(seq "$nodes"); do echo "n$i"; done >"$dir/etc/names"
	for i in $(seq "$nodes"); do echo "10.$net.0.$((10 + i)) n$i"; done >"$dir/etc/addresses"
	cat /etc/hosts "$dir/etc/addresses" >"$dir/etc/hosts"
	{ printf '127.0.0.1 localhost\n10.%s.0.1 %s\n' "$net" "$me" && cat "$dir/etc/addresses"; } >"$dir/etc/hosts.nodes"

	mkdir -p "$common" "$SGE_ROOT/bin" "$SGE_ROOT/lib" "$SGE_ROOT/utilbin"
	for i in bin lib utilbin; do ln -s "$ge" "$SGE_ROOT/$i/$(/usr/share/gridengine/util/arch)"; done
	ln -s /usr/share/gridengine/util "$SGE_ROOT/util"
	cat >"$common/bootstrap" <<-END
		admin_user              sgeadmin
		default_domain          none
		ignore_fqdn             false
		spooling_method         berkeleydb
		spooling_lib            libspoolb
		spooling_params         $dir/spool/db
		binary_path             $SGE_ROOT/bin
		qmaster_spool_dir       $dir/spool/qmaster
		security_mode           none
		listener_threads        2
		worker_threads          2
		scheduler_threads       1
	END
	echo "$me" >"$common/act_qmaster"
	# What this machine is also called, by those who are on it.
	getent ahostsv4 "$me" | awk '{ print $1 }' | sort -u | while read -r i; do getent hosts "$i" | cut -d' ' -f2-; done |
		tr -s ' \t' '\n' | awk -v me="$me" '$0 != "" && $0 != me && !seen[$0]++ { all = all " " $0 } END { print me all }' >"$common/host_aliases"
	cat >"$dir/env" <<-END
		export SGE_ROOT=$(printf %q "$SGE_ROOT")
		export SGE_CELL=$SGE_CELL
		export SGE_QMASTER_PORT=$((20000 + 2 * net))
		export SGE_EXECD_PORT=$((20001 + 2 * net))
		export PATH=$(printf %q "$SGE_ROOT/bin/$(/usr/share/gridengine/util/arch)"):\$PATH
		export MUSTER_TEST_GRIDENGINE=$(printf %q "$dir")
	END
	sed -e "s|^execd_spool_dir .*|execd_spool_dir $dir/spool/execd|" \
		-e 's|^mailer .*|mailer /bin/true|' \
		-e 's|^min_uid .*|min_uid 100|' -e 's|^min_gid .*|min_gid 100|' \
		-e 's|^load_report_time .*|load_report_time 00:00:02|' \
		-e 's|^max_unheard .*|max_unheard 00:00:15|' \
		-e 's|^reschedule_unknown .*|reschedule_unknown 00:01:00|' \
		-e 's|^max_aj_tasks .*|max_aj_tasks 100|' \
		/usr/share/gridengine/default-configuration >"$dir/etc/configuration"
}

# configure NODES CPUS: what only a running sge_qmaster can be told.
configure() {
	local nodes=$1 cpus=$2 node
	cd "$dir/etc"
	q() { as_manager qconf "$@" >>"$dir/log/qconf" 2>&1 || fail "qconf $*: $(tail -n 2 "$dir/log/qconf")"; }
	q -as "$(hostname)"
	printf '%s\n' 'group_name @allhosts' 'hostlist NONE' >allhosts
	q -Ahgrp allhosts
	as_admin "$ge/qconf" -sc | sed -E 's/^(h_vmem .*YES +)NO( +)0 /\1YES\24G /' >complex
	echo 'exclusive excl BOOL EXCL YES YES 0 1000' >>complex
	echo 'gpu gpu INT <= YES YES 0 0' >>complex
	q -Mc complex
	for node in $(seq "$nodes"); do
		cat >"host$node" <<-END
			hostname n$node
			load_scaling NONE
			complex_values h_vmem=32G,exclusive=true,gpu=2
			user_lists NONE
			xuser_lists NONE
			projects NONE
			xprojects NONE
			usage_scaling NONE
			report_variables NONE
		END
		q -ah "n$node"
		q -as "n$node"
		q -Ae "host$node"
		q -aattr hostgroup hostlist "n$node" @allhosts
	done
	as_admin "$ge/qconf" -ssconf | sed -e 's/^schedule_interval .*/schedule_interval 0:0:2/' \
		-e 's/^flush_submit_sec .*/flush_submit_sec 1/' -e 's/^flush_finish_sec .*/flush_finish_sec 1/' \
		-e 's/^job_load_adjustments .*/job_load_adjustments NONE/' -e 's/^schedd_job_info .*/schedd_job_info true/' >scheduler
	q -Msconf scheduler
	parallel smp "\$pe_slots" FALSE
	parallel mpi "\$round_robin" TRUE
	# All of these nodes are one machine, whose load says nothing of a node.
	cat >queue <<-END
		qname all.q
		hostlist @allhosts
		seq_no 0
		load_thresholds NONE
		suspend_thresholds NONE
		nsuspend 1
		suspend_interval 00:05:00
		priority 0
		min_cpu_interval 00:05:00
		processors UNDEFINED
		qtype BATCH INTERACTIVE
		ckpt_list NONE
		pe_list smp mpi
		rerun FALSE
		slots $cpus
		tmpdir /tmp
		shell /bin/sh
		prolog NONE
		epilog NONE
		shell_start_mode posix_compliant
		starter_method NONE
		suspend_method NONE
		resume_method NONE
		terminate_method NONE
		notify 00:00:05
		owner_list NONE
		user_lists NONE
		xuser_lists NONE
		subordinate_list NONE
		complex_values NONE
		projects NONE
		xprojects NONE
		calendar NONE
		initial_state default
		s_rt INFINITY
		h_rt INFINITY
		s_cpu INFINITY
		h_cpu INFINITY
		s_fsize INFINITY
		h_fsize INFINITY
		s_data INFINITY
		h_data INFINITY
		s_stack INFINITY
		h_stack INFINITY
		s_core INFINITY
		h_core INFINITY
		s_rss INFINITY
		h_rss INFINITY
		s_vmem INFINITY
		h_vmem INFINITY
	END
	q -Aq queue
}

# parallel NAME RULE DAEMONS: a parallel environment.
parallel() {
	cat >"pe-$1" <<-END
		pe_name $1
		slots 9999
		user_lists NONE
		xuser_lists NONE
		start_proc_args NONE
		stop_proc_args NONE
		allocation_rule $2
		control_slaves $3
		job_is_first_task TRUE
		urgency_slots min
		accounting_summary FALSE
		qsort_args NONE
	END
	q -Ap "pe-$1"
}

# ready NODES: every node's queue is there and in no bad state.
ready() { [ "$("$ge/qstat" -f | awk '/^all\.q@/ && NF == 5' | wc -l)" -eq "$1" ]; }

start() {
	local nodes=$1 cpus=$2 node
	for node in sge_qmaster sge_execd qsub; do
		[ -x "$ge/$node" ] || fail "$ge/$node is not here: apt-get install gridengine-master gridengine-exec gridengine-client"
	done
	[ ! -e "$dir" ] || fail "$dir is there already"
	mkdir -p "$dir"
	trap stop EXIT
	chmod 0755 "$dir"
	mkdir -m 0755 "$dir/etc" "$dir/run" "$dir/log" "$dir/done" "$dir/root" "$dir/spool" "$dir/nodes"
	mkdir -m 1777 "$dir/shared"
	mkdir "$dir/spool/db" "$dir/spool/qmaster" "$dir/spool/qmaster/job_scripts" "$dir/spool/execd"
	take_net
	write_files "$(cat "$dir/etc/net")" "$nodes"
	chown -R sgeadmin:sgeadmin "$dir/spool" "$dir/root"
	# shellcheck disable=SC1091
	. "$dir/env"
	as_admin "$ge/spoolinit" berkeleydb libspoolb "$dir/spool/db" init
	as_admin "$ge/spooldefaults" configuration "$dir/etc/configuration"
	as_admin "$ge/spooldefaults" complexes /usr/share/gridengine/util/resources/centry
	as_admin "$ge/spooldefaults" usersets /usr/share/gridengine/util/resources/usersets
	as_admin "$ge/spooldefaults" managers sgeadmin
	start_controller
	(configure "$nodes" "$cpus")
	for node in $(seq "$nodes"); do plug "n$node" && start_node "n$node"; done
	until_ 120 ready "$nodes" || fail "not every node came up: $("$ge/qstat" -f 2>&1)"
	mkfifo -m 0622 "$dir/faults"
	background faults bash "$self" serve "$dir"
	trap - EXIT
}

stop() {
	local net name link
	trap - EXIT
	[ -d "$dir/run" ] || { rm -rf "$dir"; return 0; }
	end faults || true
	for name in "$dir"/run/*; do
		[ -e "$name" ] || continue
		kill -CONT "$(cat "$name")" 2>/dev/null || true
		end "${name##*/}" || echo "cluster-gridengine.sh: ${name##*/} does not end" >&2
	done
	if net=$(cat "$dir/etc/net" 2>/dev/null); then
		for link in $(ip netns list | grep -oE "^mge${net}n[0-9]+" || true); do ip netns del "$link"; done
		for link in $(ip -o link show | sed -nE "s/^[0-9]+: (mge${net}(n[0-9]+)?)(@[^:]*)?:.*/\1/p"); do
			ip link del "$link" 2>/dev/null || true
		done
	fi
	rm -rf "$dir"
}

case $verb in
start)
	[ $# -le 4 ] || usage
	start "${3:-8}" "${4:-4}"
	;;
stop) stop ;;
node) node "$3" ;;
serve) serve ;;
*) usage ;;
esac
