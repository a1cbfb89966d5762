#!/usr/bin/env bash
# Prints how soon the release binary answers after its start, its memory when idle, and its size, each beside its target.
#
#   scripts/footprint.sh [BINARY]     default: the release build of this checkout
set -euo pipefail

cd "$(dirname "$0")/.."
binary=${1:-${CARGO_TARGET_DIR:-target}/release/storehouse}
[ -x "$binary" ] || { echo "footprint: no $binary: cargo build --release" >&2 && exit 1; }
rounds=10
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; rm -rf "$work"' EXIT

base=$((20000 + RANDOM % 10000))
export GATEWAY_PORT=$base AUTH_PORT=$((base + 1)) USERS_PORT=$((base + 2)) ORDERS_PORT=$((base + 3)) INVENTORY_PORT=$((base + 4))
unset DATABASE_URL ENVIRONMENT PORT HOST || true

# Asks by the shell itself: starting curl would take as long as what is measured.
answers() {
    local line=
    {
        printf 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
        read -r line <&3
    } 3<>"/dev/tcp/127.0.0.1/$GATEWAY_PORT" || return 1
    [[ $line == "HTTP/1.1 200"* ]]
} 2>/dev/null

# Starts it on a data folder and leaves the microseconds to its first answer in `took`.
start() {
    local from=${EPOCHREALTIME/./}
    DATA_DIR=$1 "$binary" serve >"$work/output" 2>&1 &
    pid=$!
    until answers; do
        kill -0 "$pid" 2>/dev/null || { cat "$work/output" >&2 && exit 1; }
        sleep 0.001
    done
    took=$((${EPOCHREALTIME/./} - from))
}

stop() {
    kill -TERM "$pid"
    wait "$pid" || true
    pid=
}

# The median of the lines that come in, from microseconds to milliseconds.
median() {
    sort -n | awk '{ all[NR] = $1 } END { printf "%.1f", (all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2 / 1000 }'
}

report() {
    local verdict
    verdict=$(awk -v value="$2" -v target="$4" 'BEGIN { print (value <= target) ? "ok" : "OVER" }')
    printf '%-44s %8s %-3s target %3s %-3s %s\n' "$1" "$2" "$3" "$4" "$3" "$verdict"
}

for round in $(seq "$rounds"); do
    start "$work/fresh-$round"
    stop
    echo "$took" >>"$work/fresh"
done
for _ in $(seq "$rounds"); do
    start "$work/fresh-1"
    stop
    echo "$took" >>"$work/existing"
done
start "$work/fresh-1"
sleep 3
memory=$(awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$pid/status")
stop

report "start to first answer, fresh data folder" "$(median <"$work/fresh")" ms 50
report "start to first answer, existing data folder" "$(median <"$work/existing")" ms 50
report "resident memory, idle" "$memory" MB 30
report "release binary" "$(stat -c %s "$binary" | awk '{ printf "%.1f", $1 / 1000000 }')" MB 30
