#!/bin/sh
# upper.sh IN OUT: takes a moment, and writes its input in capitals.
set -e
sleep 0.1
tr '[:lower:]' '[:upper:]' <"$1" >"$2"
