#!/usr/bin/env bash
# Asks everything of the served OpenAPI document, rightly and wrongly, with Schemathesis: as nobody, customer, staff and admin. Fails for a server error,
# and for an answer that the document doesn't have.
#
#   scripts/schemathesis.sh [--binary FILE] [--examples N] [ROLE…]
#
# It needs Python with pip; without one it says so aloud and fails nothing. `scripts/schemathesis.toml` says which checks, and why not which.
set -euo pipefail

cd "$(dirname "$0")/.."
root=$PWD
binary=${CARGO_TARGET_DIR:-target}/release/storehouse
examples=20
version=4.32.5
while [ $# -gt 0 ]; do
    case "$1" in
        --binary) binary=${2:?} && shift 2 ;;
        --examples) examples=${2:?} && shift 2 ;;
        *) break ;;
    esac
done
[ $# -gt 0 ] || set -- nobody customer staff admin

binary=$(realpath "$binary")
tools=$(realpath "${CARGO_TARGET_DIR:-target}")/schemathesis-$version
if [ ! -x "$tools/bin/schemathesis" ]; then
    if ! { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet "schemathesis==$version"; }; then
        rm -rf "$tools"
        echo "!!! NOT CHECKED: Schemathesis can't be installed here (python3 with venv and pip is needed)."
        exit 0
    fi
fi

work=$(mktemp -d)
server=
clean_up() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap clean_up EXIT

gateway=http://localhost:18000
# In its own folder, or it would read this one's routes.yaml, which names other ports.
(
    cd "$work"
    export GATEWAY_PORT=18000 AUTH_PORT=18083 USERS_PORT=18081 ORDERS_PORT=18082 INVENTORY_PORT=18084 DATA_DIR="$work/data"
    export RATE_LIMIT=off MAX_PENDING_ORDERS=1000000 LOG_FORMAT=json LOG_LEVEL=warn
    exec env -u DATABASE_URL -u ENVIRONMENT "$binary" >"$work/out" 2>"$work/log"
) &
server=$!
until curl --silent --fail --output /dev/null "$gateway/health/ready"; do
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2 && exit 1; }
    sleep 0.2
done

post() {
    local path=$1 body=$2 answer
    shift 2
    answer=$(curl --silent --show-error --fail-with-body -X POST "$gateway$path" -H 'Content-Type: application/json' -d "$body" "$@") ||
        { echo "$path: $answer" >&2 && return 1; }
    echo "$answer"
}

token_in() {
    grep -o '"token":"[^"]*"' | cut -d '"' -f 4
}

# The first account is the admin, who makes the others; each has something of its own to be found.
password="a password of the fuzzer 7"
admin=$(post /auth/register "{\"email\":\"admin@example.com\",\"password\":\"$password\",\"username\":\"admin\"}" | token_in)
as_admin=(-H "Authorization: Bearer $admin")
for role in staff customer; do
    post /users "{\"email\":\"$role@example.com\",\"password\":\"$password\",\"username\":\"$role\",\"role\":\"$role\"}" "${as_admin[@]}" >/dev/null
done
post /categories '{"name":"Laptops"}' "${as_admin[@]}" >/dev/null
post /products '{"sku":"LAP-1","name":"Laptop","unit_price":999.99,"barcode":"4006381333931","category":"Laptops"}' "${as_admin[@]}" >/dev/null
post /stock/adjustments '{"sku":"LAP-1","kind":"receive","quantity":1000000}' "${as_admin[@]}" >/dev/null

log_in() {
    post /auth/login "{\"email\":\"$1@example.com\",\"password\":\"$password\"}" | token_in
}

failed=0
for role in "$@"; do
    headers=()
    [ "$role" = nobody ] || headers=(--header "Authorization: Bearer $(log_in "$role")")
    echo "=== as $role"
    # What it keeps of a run goes with the folder.
    (cd "$work" && "$tools/bin/schemathesis" --config-file "$root/scripts/schemathesis.toml" run "$gateway/openapi.json" \
        --max-examples "$examples" --seed 1 --no-color "${headers[@]}") || failed=1
done
if grep -q '"level":"ERROR"' "$work/log"; then
    echo "the server logged errors:" && grep '"level":"ERROR"' "$work/log" | head -n 20
    failed=1
fi
exit "$failed"
