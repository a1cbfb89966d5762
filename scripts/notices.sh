#!/usr/bin/env bash
# Prints the licences of all that is in the program and isn't its own: what each asks to be passed on with it.
#
#   scripts/notices.sh >NOTICES.txt
set -euo pipefail

cd "$(dirname "$0")/.."
sources=${CARGO_HOME:-$HOME/.cargo}/registry/src
target=$(rustc -vV | sed -n 's/^host: //p')

declare -A printed

# texts TITLE FOLDER: the licences that lie in it, each text once.
texts() {
    local file sum found=
    printf '\n==== %s\n' "$1"
    while read -r file; do
        found=yes
        sum=$(sha256sum <"$file")
        if [ -n "${printed[$sum]:-}" ]; then
            printf '\n%s: as of %s, above.\n' "${file##*/}" "${printed[$sum]}"
            continue
        fi
        printed[$sum]=$1
        printf '\n'
        cat "$file"
    done < <(find "$2" -maxdepth 1 -type f \( -iname '*licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) | LC_ALL=C sort)
    [ -n "$found" ] || printf '\nIts package holds no text; it names the licence %s.\n' "$(sed -n 's/^license = "\(.*\)"$/\1/p' "$2/Cargo.toml")"
}

echo "Storehouse (its own licence: LICENSE) contains the following."
for assets in crates/*/assets; do
    texts "$assets" "$assets"
done
while read -r name version; do
    folder=$(find "$sources" -maxdepth 2 -type d -name "$name-$version" | head -1)
    [ -n "$folder" ] || { echo "notices: no source of $name $version in $sources" >&2 && exit 1; }
    texts "$name $version" "$folder"
done < <(cargo tree --locked --package storehouse --edges normal --target "$target" --prefix none --format '{p}' |
    sed -n 's/^\([^ ]*\) v\([^ ]*\)\( (proc-macro)\)\?$/\1 \2/p' | LC_ALL=C sort -u)
