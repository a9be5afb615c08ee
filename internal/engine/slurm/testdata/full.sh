#!/bin/sh
export MUSTER_ELEMENT="$SLURM_ARRAY_TASK_ID"
export MUSTER_ARRAY="${SLURM_ARRAY_JOB_ID}_$MUSTER_ELEMENT"
muster_tries=0
until [ -e '/home/u/my runs/7/token' ]; do
	[ $((muster_tries += 1)) -le 5 ] || exit 98
	sleep 1
done
muster_told=
trap 'muster_told=1' TERM
trap 'kill -USR1 "$muster_child"' USR1
/home/u/bin/muster agent /home/u/.local/state/muster/runs/7 'it'\''s' 'a b' '$(touch pwned)' 'a''
b' '' &
muster_child=$!
while wait "$muster_child"; muster_code=$?; [ "$muster_code" -gt 128 ] && kill -0 "$muster_child" 2>/dev/null; do :; done
if [ "$muster_code" -eq 99 ] && [ -z "$muster_told" ]; then
	for muster_try in 1 2 3 4 5 6 7 8 9 10; do
		/usr/bin/scontrol requeue incomplete "$SLURM_JOB_ID" && sleep 60 # until Slurm ends this
		[ -z "$muster_told" ] || exit 99
		sleep 6
	done
fi
trap - TERM USR1
[ "$muster_code" -le 128 ] || kill -"$((muster_code - 128))" $$ 2>/dev/null
exit "$muster_code"
