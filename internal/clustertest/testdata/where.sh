#!/bin/sh
# where.sh IN OUT: what a process of a triple is told, and where it may run.
set -e
mktemp "$STARTS/$(basename "$1")@$(uname -n)@XXXXXXXX" >/dev/null
{
	env | grep -E '^(LLMR|OMP_NUM|MKL_NUM|OPENBLAS_NUM)'
	echo "NODE=$(uname -n)"
	sed -n 's/^Cpus_allowed_list:[[:space:]]*/CPUS=/p' /proc/self/status
} >"$2"
sleep 0.3 # that each process gets its share
