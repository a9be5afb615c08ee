#!/bin/sh
# sleeper.sh IN OUT: sleeps for ever with children that have left its session and
# its parent, one of which has thrown away its environment; ignores SIGTERM when the input says "stubborn".
# Once the file QUICK is there, it only writes its output.
set -e
if [ -e "$CRASHTEST_QUICK" ]; then
	now=$(date +%s%N) # fails with date, as printf would not
	printf '%s %s\n' "$MUSTER_TASK" "$now" >>"$CRASHTEST_NONCES"
	cat "$1" >"$2"
	exit
fi
if grep -q stubborn "$1"; then
	trap '' TERM # the children inherit that
fi
setsid sleep 1000 &
(setsid sh -c 'sleep 1000 & sleep 1000 &' &)
setsid env -i sleep 1000 &
now=$(date +%s%N) # fails with date, as printf would not
printf '%s %s\n' "$MUSTER_TASK" "$now" >>"$CRASHTEST_NONCES"
while :; do sleep 1000; done
