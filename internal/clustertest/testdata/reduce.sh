#!/bin/sh
# reduce.sh OUTPUTS RESULT: all outputs in one, and a note that it was run.
set -e
mktemp "$STARTS/reducer@$(uname -n)@XXXXXXXX" >/dev/null
cat "$1"/* >"$2"
