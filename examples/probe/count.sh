#!/bin/sh
# Counts the living: how many processes of this machine run PROGRAM, by the
# kernel's own records in /proc and by nothing else.
#
#     count.sh PROGRAM [WORD]
#
# PROGRAM is the name of its file (probe.exe). With WORD only those count that
# have it among their arguments. The dead that nobody has collected (zombies) do
# not count.
set -eu

name=$(printf %.15s "$1" | sed 's/[][\.*^$+?(){}|/]/\\&/g') # the kernel keeps 15 bytes
living=$(grep -hsE "^[0-9]+ \($name\) [^ZX]" /proc/[0-9]*/stat | cut -d ' ' -f 1) || true
if [ -z "$living" ]; then
	echo 0
elif [ $# -lt 2 ]; then
	echo "$living" | wc -l
else
	# -z: arguments end with NUL bytes. A process that ends meanwhile is missed, rightly.
	echo "$living" | sed 's|.*|/proc/&/cmdline|' | xargs grep -lszxFe "$2" | wc -l
fi
