#!/usr/bin/env bash
# Does what the README tells a newcomer: starts the system by its run command, on a fresh data folder, and walks through it with curl.
set -euo pipefail

cd "$(dirname "$0")/.."
work=$(mktemp -d)
server=
gateway=http://localhost:8000

fail() {
    printf 'smoke: %s\n' "$*" >&2
    for file in server statuses bodies; do
        [ ! -s "$work/$file" ] || { echo "--- $file" && tail -n 40 "$work/$file"; } >&2
    done
    exit 1
}

# The program itself, whether the run command became it or started it.
server_pid() {
    pgrep -x storehouse --pgroup "$server" || true
}

clean_up() {
    if [ -n "$server" ]; then kill -KILL -- "-$server" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap clean_up EXIT

start() {
    ! curl --silent --output /dev/null "$gateway/health" || fail "something answers on $gateway already: stop it first"
    scripts/readme.sh run >"$work/run"
    echo "smoke: starting: $(cat "$work/run")"
    # A process group of its own makes it possible to stop everything that the command starts.
    set -m
    env -u DATABASE_URL -u ENVIRONMENT -u PORT DATA_DIR="$work/data" bash -e "$work/run" >"$work/server" 2>&1 &
    server=$!
    set +m
    for _ in $(seq 600); do
        if curl --silent --fail --output /dev/null "$gateway/health/ready"; then return; fi
        kill -0 "$server" 2>/dev/null || fail "it ended before it was ready"
        sleep 0.5
    done
    fail "it was not ready within five minutes"
}

# Runs the README's commands as they stand; the function notes the status and body of each call on the side.
walk() {
    { scripts/readme.sh walk && scripts/readme.sh stock; } >"$work/walk"
    cat >"$work/prelude" <<'PRELUDE'
curl() (
    set -o pipefail
    command curl --silent --show-error --write-out '%{stderr}status %{http_code} %{method} %{url}\n' "$@" \
        2>>"$STATUSES" | tee -a "$BODIES"
)
PRELUDE
    STATUSES="$work/statuses" BODIES="$work/bodies" \
        bash -e -c '. "$1"; . "$2"' walk "$work/prelude" "$work/walk" || fail "the walk stopped with exit code $?"
    echo
    sed 's/^status/smoke: /' "$work/statuses"
}

expect_status() {
    grep -Eq "^status $1 $2 [^ ]*:8000$3\$" "$work/statuses" || fail "no call of the walk was $2 $3 with status $1"
}

expect_body() {
    grep -Eq "$1" "$work/bodies" || fail "no answer of the walk contains $1"
}

check() {
    ! grep -Ev '^status 2' "$work/statuses" || fail "a call of the walk did not succeed"
    expect_status 201 POST /auth/register
    expect_status 200 POST /auth/login
    expect_status 200 GET /users/me
    expect_status 201 POST /orders
    expect_status 200 GET '/orders(\?.*)?'
    expect_status 201 POST /products
    expect_status 201 POST /stock/adjustments
    expect_status 200 GET '/products\?q=lap'
    expect_status 200 GET /stock/reorder
    expect_body '"on_hand":10,"allocated":0,"unavailable":0,"available":10,'
    expect_body '"suggested_quantity":11'
    expect_body '"token":"[^"]+"'
    expect_body '"email":"user@example.com"'
    expect_body '"total_price":999\.99'
    expect_body '"items":\[\{'
}

stop() {
    local pid code=0
    pid=$(server_pid)
    [ -n "$pid" ] || fail "the server is gone"
    kill -TERM "$pid"
    wait "$server" || code=$?
    server=
    [ "$code" = 0 ] || fail "it stopped with exit code $code on SIGTERM"
}

start
walk
check
stop
echo "smoke: the README's walk works"
