#!/usr/bin/env bash
# install.sh PREFIX: puts bin/muster, the LLMapReduce link, the man pages and the
# completions of four shells below PREFIX. Called by make install.
set -euo pipefail

[ $# -eq 1 ] || {
	echo "usage: install.sh PREFIX" >&2
	exit 2
}
prefix=$1
cd "$(dirname "$0")/.."

if ! mkdir -p "$prefix" 2>/dev/null || [ ! -w "$prefix" ]; then
	echo "$prefix cannot be written: use sudo, or make install PREFIX=\$HOME/.local" >&2
	exit 3
fi
install -D -m 0755 bin/muster "$prefix/bin/muster"
ln -sf muster "$prefix/bin/LLMapReduce"

share=$prefix/share
mkdir -p "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/site-functions" \
	"$share/fish/vendor_completions.d" "$share/powershell/Completions"
bin/muster man "$share/man/man1"
bin/muster completion bash >"$share/bash-completion/completions/muster"
bin/muster completion zsh >"$share/zsh/site-functions/_muster"
bin/muster completion fish >"$share/fish/vendor_completions.d/muster.fish"
bin/muster completion powershell >"$share/powershell/Completions/muster.ps1"
echo "installed muster and LLMapReduce in $prefix/bin, man pages and completions in $share"
