#!/usr/bin/env bash
# Makes dist/storehouse-VERSION-TARGET.tar.gz with what a machine needs to run it, its SHA-256 and its bill of materials (CycloneDX) beside it.
#
#   scripts/release.sh                    makes the optimised binary first (scripts/optimise.sh)
#   scripts/release.sh --binary FILE      takes a built one
#
# The same binary and commit give the same archive, byte for byte: names are sorted, owners left out, and all times are that
# of the commit (or SOURCE_DATE_EPOCH).
set -euo pipefail
umask 022

cd "$(dirname "$0")/.."
binary=
case "${1:-}" in
    "") ;;
    --binary) binary=$(realpath "${2:?usage: scripts/release.sh [--binary FILE]}") ;;
    *) echo "usage: scripts/release.sh [--binary FILE]" >&2 && exit 2 ;;
esac

if [ -z "$binary" ]; then
    # Paths of this machine have no place in what others get.
    RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$PWD=. --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo" \
        scripts/optimise.sh
    binary=${CARGO_TARGET_DIR:-target}/optimised/storehouse
fi
version=$("$binary" --version | cut -d ' ' -f 2)
target=$(rustc -vV | sed -n 's/^host: //p')
name=storehouse-$version-$target
time=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
install -D -m 755 "$binary" "$work/$name/storehouse"
install -m 644 LICENSE README.md CHANGELOG.md ARCHITECTURE.md CONTRIBUTING.md SECURITY.md routes.yaml .env.example "$work/$name"
install -D -m 644 -t "$work/$name/deploy" deploy/storehouse.service deploy/storehouse@.service deploy/storehouse.env
install -D -m 644 -t "$work/$name/deploy/prometheus" deploy/prometheus/*.yml
install -D -m 644 -t "$work/$name/deploy/grafana/dashboards" deploy/grafana/dashboards/*.json
install -D -m 644 -t "$work/$name/deploy/grafana/provisioning/dashboards" deploy/grafana/provisioning/dashboards/*.yml
install -D -m 644 -t "$work/$name/deploy/grafana/provisioning/datasources" deploy/grafana/provisioning/datasources/*.yml
install -D -m 644 -t "$work/$name/deploy" deploy/routes.yaml
install -D -m 644 -t "$work/$name/docs" docs/*.md docs/routes.schema.json
install -D -m 644 -t "$work/$name/docs/decisions" docs/decisions/*.md
scripts/notices.sh >"$work/$name/NOTICES.txt"

# What is in the program: every crate with its version, licence and checksum. The same tree gives the same text: no random number, and the commit's time.
# Not optimised: it works for seconds, and is built in a third of the time.
cargo cyclonedx --version >/dev/null 2>&1 || env -u CARGO_TARGET_DIR cargo install --quiet --locked --debug cargo-cyclonedx@0.5.9
bill=storehouse.cdx
cargo cyclonedx --quiet --manifest-path crates/storehouse/Cargo.toml --format json --spec-version 1.5 --target "$target" --no-build-deps --override-filename "$bill"
sed "/^  \"serialNumber\": /d; s/\"timestamp\": \"[^\"]*\"/\"timestamp\": \"$(date -u -d "@$time" +%Y-%m-%dT%H:%M:%SZ)\"/; s|path+file://$PWD|path+file:///storehouse|g" \
    "crates/storehouse/$bill.json" >"$work/$name/$bill.json"
rm -f crates/*/"$bill.json"

mkdir -p dist
install -m 644 "$work/$name/$bill.json" "dist/$name.cdx.json"
tar --create --directory "$work" --sort=name --format=ustar --mtime="@$time" --owner=0 --group=0 --numeric-owner "$name" |
    gzip --best --no-name >"dist/$name.tar.gz"
(cd dist && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256" && cat "$name.tar.gz.sha256")
