#!/usr/bin/env bash
# Fuzzes with libFuzzer, on stable Rust: each target (fuzz/src/targets.rs) for some time, one after another.
#
#   scripts/fuzz.sh [--seconds N] [TARGET…]      600 s each, where nothing is said
#
# In the gate they run for some seconds each; ten minutes each are for a release.
# What it finds interesting is kept in fuzz/target/corpus, what breaks a promise in fuzz/artifacts, and is an exit code of 1. The seeds in fuzz/corpus are few and
# small, since the tests replay them, with changes at random (tests/it/security/fuzz.rs).
set -euo pipefail

cd "$(dirname "$0")/../fuzz"
seconds=600
if [ "${1:-}" = --seconds ]; then
    seconds=${2:?} && shift 2
fi
[ $# -gt 0 ] || set -- token path query cursor csv routes json head

host=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz sets, but for the address sanitizer: it needs a nightly compiler, and there is no unsafe code here to look at.
export RUSTFLAGS="--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares"
CARGO_TARGET_DIR=target cargo build --release --locked --target "$host" --bins

failed=0
for name in "$@"; do
    mkdir -p "target/corpus/$name" "artifacts/$name"
    dictionary=()
    [ ! -f "dictionaries/$name" ] || dictionary=(-dict="dictionaries/$name")
    # Databases in memory, where the system has such a place: a sync costs nothing there.
    TMPDIR=$([ -w /dev/shm ] && echo /dev/shm || echo /tmp) "target/$host/release/$name" "target/corpus/$name" "corpus/$name" \
        -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=4096 -artifact_prefix="artifacts/$name/" -print_final_stats=1 \
        "${dictionary[@]}" 2>"target/$name.log" || failed=1
    echo "$name: $(grep -h 'number_of_executed_units\|cov:' "target/$name.log" | tail -n 2 | tr '\n' ' ')"
    ! compgen -G "artifacts/$name/*" >/dev/null || { echo "$name: found $(ls "artifacts/$name")" && failed=1; }
done
exit "$failed"
