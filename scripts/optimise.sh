#!/usr/bin/env bash
# Makes target/optimised/storehouse: the release binary, compiled with a profile of its own work, which takes a sixth to a quarter
# off the CPU time of a request (docs/performance.md, decision 0014). Two builds, with some minutes of load between them.
#
# Needs clang and llvm-profdata of the LLVM that rustc is built on (`rustc -vV` names it): apt-get install clang-22 llvm-22.
# The load is the benchmark's; what that can't measure here (no PostgreSQL, say) isn't learnt either.
set -euo pipefail

cd "$(dirname "$0")/.."
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
host=$(rustc -vV | sed -n 's/^host: //p')
for tool in "clang-$llvm" "llvm-profdata-$llvm"; do
    command -v "$tool" >/dev/null ||
        { echo "$tool isn't here: apt-get install clang-$llvm llvm-$llvm" >&2 && exit 1; }
done
work=${CARGO_TARGET_DIR:-$PWD/target}/optimised
mkdir -p "$work"
rm -rf "$work/profiles"

# build FOLDER RUSTC_FLAG CLANG_FLAG: SQLite, which is C, learns as well.
build() {
    CARGO_TARGET_DIR="$work/$1" CC="clang-$llvm" CFLAGS="$3" RUSTFLAGS="${RUSTFLAGS:-} $2" \
        cargo build --release --locked --package storehouse --target "$host"
}

# learn NAME ARGUMENTS: a profile of one kind of work, which the program leaves behind when it ends.
learn() {
    local name=$1
    shift
    cargo run --release --locked --package bench -- --quick --rounds 1 --folder "$work" \
        --program "$work/learning/$host/release/storehouse" "$@"
    "llvm-profdata-$llvm" merge --output "$work/$name.profdata" "$work"/profiles/*.profraw
    rm "$work"/profiles/*.profraw
}

build learning "-Cprofile-generate=$work/profiles" "-fprofile-generate=$work/profiles -fprofile-update=atomic"
rm -f "$work"/profiles/*.profraw
learn gateway --seconds 4 gateway
learn orders --seconds 2 orders reads
learn stock --seconds 1 stock
# So that each counts about as much: a request through the gateway is short, and filling a shop is long.
"llvm-profdata-$llvm" merge --output "$work/all.profdata" --weighted-input "6,$work/gateway.profdata" \
    --weighted-input "1,$work/orders.profdata" --weighted-input "2,$work/stock.profdata"
build learnt "-Cprofile-use=$work/all.profdata" "-fprofile-use=$work/all.profdata -Wno-profile-instr-unprofiled"
install "$work/learnt/$host/release/storehouse" "$work/storehouse"
echo "$work/storehouse"
