#!/usr/bin/env bash
# demo.sh: the main job on real input. A heat-equation solver, built as a Windows
# program, runs on 96 parameter files; a reducer, a Windows program too, makes a
# table; both are compared with the same sources built natively. Called by make demo.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
out=build/demo
began=$SECONDS

# show COMMAND…: prints a command as one would type it, then runs it.
show() {
	printf '\n$ %s\n' "$*"
	"$@"
}

rm -rf "$out"
mkdir -p "$out"
make --silent -C examples/heat OUT="$root/$out" all
examples/heat/generate.sh "$out/in" 96
echo "$out/heat.exe, a Windows program, and $(find "$out/in" -name '*.par' | wc -l) parameter files"

show bin/muster map --mapper "$out/heat.exe" --input "$out/in" --output "$out/out" \
	--reducer "$out/reducer.exe" --redout "$out/summary.txt"
show tail -n 3 "$out/summary.txt"
show examples/heat/check.sh "$out" "$out/in" "$out/out" "$out/summary.txt"
show bin/muster report last
show bin/muster report last --png "$out/launch.png"

echo
echo "The demo took $((SECONDS - began)) s. Outputs are in $out/out, the table is $out/summary.txt,"
echo "the picture of the launch $out/launch.png."
