#!/bin/sh
# check.sh BUILD INPUTS OUTPUTS [SUMMARY]: compares what the Windows programs wrote
# with what the same sources write when they are built natively.
#
# BUILD holds the native heat and reducer, INPUTS the parameter files, OUTPUTS a
# NAME.par.out for each NAME.par; SUMMARY is the reducer's result. Everything must
# be equal, byte for byte. Exit codes: 0 equal, 1 different or missing, 2 usage.
set -eu

if [ $# -lt 3 ] || [ $# -gt 4 ]; then
	echo "usage: check.sh BUILD INPUTS OUTPUTS [SUMMARY]" >&2
	exit 2
fi
build=$1 inputs=$2 outputs=$3 summary=${4:-}

native=$(mktemp -d)
trap 'rm -rf "$native"' EXIT
trap 'exit 1' HUP INT TERM

# As many at a time as there are CPUs. sh -c keeps names with spaces whole.
# shellcheck disable=SC2016 # the inner shell expands these
find "$inputs" -name '*.par' -type f -print0 |
	xargs -0 -P "$(nproc)" -I '{}' \
		sh -c '"$1/heat" "$2" "$3/$(basename "$2").out"' sh "$build" '{}' "$native"

total=0
bad=0
for want in "$native"/*.out; do
	[ -e "$want" ] || break
	name=$(basename "$want")
	total=$((total + 1))
	if [ ! -e "$outputs/$name" ]; then
		echo "missing    $name"
		bad=$((bad + 1))
	elif ! cmp -s "$want" "$outputs/$name"; then
		echo "different  $name"
		bad=$((bad + 1))
	fi
done
if [ "$total" -eq 0 ]; then
	echo "check.sh: no parameter files (*.par) in $inputs" >&2
	exit 2
fi
echo "$((total - bad)) of $total outputs equal the native program's, byte for byte"

if [ -n "$summary" ]; then
	"$build/reducer" "$native" "$native/summary"
	if cmp -s "$native/summary" "$summary"; then
		echo "the summary equals the native reducer's, byte for byte"
	else
		echo "different  $summary"
		bad=$((bad + 1))
	fi
fi
[ "$bad" -eq 0 ]
