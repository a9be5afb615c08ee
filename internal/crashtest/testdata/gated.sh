#!/bin/sh
# gated.sh IN OUT: waits until the file QUICK is there, works for half a second,
# and copies its input.
set -e
now=$(date +%s%N) # fails with date, as printf would not
printf '%s %s\n' "$MUSTER_TASK" "$now" >>"$CRASHTEST_NONCES"
while ! [ -e "$CRASHTEST_QUICK" ]; do sleep 0.02; done
sleep 0.5
cat "$1" >"$2"
