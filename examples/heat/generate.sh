#!/bin/sh
# generate.sh FOLDER [COUNT]: writes COUNT (96) parameter files for heat.
# The same files every time: the parameters follow from the number of the plate.
set -eu

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
	echo "usage: generate.sh FOLDER [COUNT]" >&2
	exit 2
fi
folder=$1
count=${2:-96}
case $count in
'' | *[!0-9]* | 0*)
	echo "generate.sh: COUNT must be a whole number from 1, not \"$count\"" >&2
	exit 2
	;;
esac
mkdir -p "$folder"

# thousandths N: N/1000 as a decimal number.
thousandths() {
	printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000))
}

i=1
while [ "$i" -le "$count" ]; do
	name=$(printf 'plate-%03d' "$i")
	cat >"$folder/$name.par" <<END
# $name
nodes        = $((112 + i * 7 % 5 * 16))
steps        = $((20 + i * 11 % 7 * 5))
duration     = 0.2
conductivity = 1.0
inclusion    = $(thousandths $((20 + i * 37 % 97 * 40)))
radius       = $(thousandths $((100 + i * 29 % 31 * 10)))
source       = $(thousandths $((i * 53 % 41 * 250)))
left         = 0.0
right        = $(thousandths $((1000 + i * 17 % 13 * 100)))
bottom       = -$(thousandths $((i * 19 % 11 * 50)))
top          = $(thousandths $((i * 23 % 7 * 125)))
initial      = 0.25
tolerance    = 1e-9
END
	i=$((i + 1))
done
