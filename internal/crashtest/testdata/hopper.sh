#!/bin/sh
# hopper.sh IN OUT: leaves processes that fork a successor and end, again and
# again, each in a session of its own, and then ends well.
set -e
# shellcheck disable=SC2016 # each process is to expand it anew
hop='sleep 0.005; setsid sh -c "$HOP" &'
for _ in 1 2 3 4 5; do
	HOP=$hop setsid sh -c "$hop" &
done
sleep 0.2
now=$(date +%s%N) # fails with date, as printf would not
printf '%s %s\n' "$MUSTER_TASK" "$now" >>"$CRASHTEST_NONCES"
cat "$1" >"$2"
