#!/bin/sh
# alive.sh INDEX LAST: notes that and where it was started, waits for the file $GATE if it
# is behind LAST, says that it is ready with a file in its work folder, and stays.
set -e
mktemp "$STARTS/p$1@$(uname -n)@XXXXXXXX" >/dev/null
if [ "$1" -gt "$2" ]; then
	while ! [ -e "$GATE" ]; do sleep 0.1; done
fi
: >ready
exec sleep 86399
