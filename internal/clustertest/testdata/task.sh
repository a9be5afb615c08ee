#!/bin/sh
# task.sh IN OUT: notes that and where it was started, waits for the file $GATE when
# the input says so, sleeps for as long as it says, and writes the input in capitals.
set -e
name=$(basename "$1"; echo x)
name=${name%?x}
# A file of its own for each execution: what nodes append to one file may get lost.
mktemp "$STARTS/$name@$(uname -n)@XXXXXXXX" >/dev/null
if grep -q '^gated$' "$1"; then
	while ! [ -e "$GATE" ]; do sleep 0.1; done
fi
sleep "$(sed -n 's/^sleep //p' "$1" | grep . || echo 0)"
tr '[:lower:]' '[:upper:]' <"$1" >"$2"
echo END >>"$2"
