#!/bin/sh
# build.sh OUTDIR [NAME...]: builds the Windows test programs in src/, all of them
# or those that are named, each into a folder of its own: OUTDIR/NAME/NAME.exe.
# Libraries: OUTDIR/absent/absent.dll (whole), OUTDIR/absent-other/absent.dll
# (without the function that needdll wants), OUTDIR/needmiddle/middle.dll.
# Files appear under their names only when they are complete.
# Needs x86_64-w64-mingw32-gcc (Debian: gcc-mingw-w64-x86-64).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cc=${MINGW_CC:-x86_64-w64-mingw32-gcc}

# compile OUTPUT ARGS...: into a temporary folder first, under its true name (the
# linker writes that into import libraries), then renamed.
compile() {
    to=$1
    shift
    tmp=$(dirname "$to")/.tmp.$$
    mkdir -p "$tmp"
    "$cc" -O2 -s -static -Wall -Wextra -Werror -o "$tmp/$(basename "$to")" "$@"
    mv -f "$tmp/$(basename "$to")" "$to"
    rmdir "$tmp"
}

one() {
    out=$1 name=$2 src=$here/src/$2.c exe=$1/$2/$2.exe
    case $name in
    absent) compile "$out/absent/absent.dll" -shared "$src" ;;
    absent-other) compile "$out/absent-other/absent.dll" -shared -DOTHER "$here/src/absent.c" ;;
    needdll) # a private library to link with: nothing of it is left beside the program
        lib=$out/$name/.lib.$$
        compile "$lib/absent.dll" -shared "$here/src/absent.c"
        compile "$exe" "$src" "$lib/absent.dll"
        rm -rf "$lib" ;;
    needmiddle)
        lib=$out/$name/.lib.$$
        compile "$lib/absent.dll" -shared "$here/src/absent.c"
        compile "$out/$name/middle.dll" -shared "$here/src/middle.c" "$lib/absent.dll"
        compile "$exe" "$src" "$out/$name/middle.dll"
        rm -rf "$lib" ;;
    args | copy | environ) compile "$exe" -municode "$src" ;;
    window | messagebox | guiforever) compile "$exe" -mwindows "$src" -lgdi32 ;;
    bootevent) compile "$exe" "$src" -lntdll ;;
    comuser) compile "$exe" "$src" -lole32 -luuid ;;
    middle) echo "build.sh: middle is built with needmiddle" >&2; exit 2 ;;
    *)
        if [ ! -f "$src" ]; then
            echo "build.sh: there is no test program $name (no $src)" >&2
            exit 2
        fi
        compile "$exe" "$src" ;;
    esac
}

if [ "${1-}" = --one ]; then
    one "$2" "$3"
    exit
fi
if [ $# -lt 1 ]; then
    echo "usage: build.sh OUTDIR [NAME...]" >&2
    exit 2
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
if [ $# -eq 0 ]; then
    set -- absent-other
    for f in "$here"/src/*.c; do
        n=$(basename "$f" .c)
        [ "$n" = middle ] || set -- "$@" "$n"
    done
fi
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 "$here/build.sh" --one "$out"
