#!/bin/sh
# task.sh IN OUT: leaves a line outside muster, and writes its output in two
# halves. The input's first line says how long it takes before and between them.
set -e
now=$(date +%s%N) # fails with date, as printf would not
printf '%s %s\n' "$MUSTER_TASK" "$now" >>"$CRASHTEST_NONCES"
{
	read -r before between
	sleep "$before"
	tr '[:lower:]' '[:upper:]'
} <"$1" >"$2"
read -r before between <"$1"
sleep "$between"
echo end >>"$2"
