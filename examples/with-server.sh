#!/usr/bin/env bash
# Runs a command beside a server of its own, with the demo data of `photometa seed`:
#
#   examples/with-server.sh [OPTION OF serve ...] -- COMMAND ...
#
# The command finds PHOTOMETA (the program), PHOTOMETA_ADDRESS, PHOTOMETA_TOKEN (an administrator's) and
# PHOTOMETA_SERVICE_TOKEN (a service account's, of the same organization). Needs a built photometa, or PHOTOMETA=program.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
fail() {
    echo "with-server.sh: $*" >&2
    exit 1
}
options=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    options+=("$1")
    shift
done
[ $# -ge 2 ] || fail "say what to run, behind --"
shift

# The developer's own settings must not reach this server.
for name in $(compgen -e PHOTOMETA_ || true) $(compgen -e OTEL_ || true); do
    case $name in PHOTOMETA_TEST_*) ;; *) unset "$name" ;; esac
done
export PHOTOMETA=${PHOTOMETA:-$target/debug/photometa}
[ -x "$PHOTOMETA" ] || fail "$PHOTOMETA is missing; run cargo build, or set PHOTOMETA"

temp=$(mktemp -d)
# A root server's PostgreSQL runs as another user, which must be able to pass through.
chmod 711 "$temp"
server=
finish() {
    status=$?
    trap - EXIT
    if [ -n "$server" ] && kill -TERM "$server" 2>/dev/null; then
        wait "$server" || true
    fi
    if [ "$status" -ne 0 ] && [ -s "$temp/server.log" ]; then
        echo "with-server.sh: it failed; the server's last words:" >&2
        tail -n 20 "$temp/server.log" >&2
    fi
    rm -rf "$temp"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

export PHOTOMETA_DATA_DIR="$temp/data"
"$PHOTOMETA" serve --listen 127.0.0.1:0 --address-file "$temp/address" "${options[@]}" >"$temp/welcome" 2>"$temp/server.log" &
server=$!
for _ in $(seq 600); do
    [ ! -e "$temp/address" ] || break
    kill -0 "$server" 2>/dev/null || fail "the server ended before it was ready"
    sleep 0.1
done
[ -e "$temp/address" ] || fail "the server was not ready within a minute"
PHOTOMETA_ADDRESS=$(cat "$temp/address")
export PHOTOMETA_ADDRESS
"$PHOTOMETA" seed >"$temp/seed" 2>&1 || { cat "$temp/seed" >&2; fail "the demo data could not be stored"; }
organization=de300101-0000-8000-8000-000000000001
PHOTOMETA_TOKEN=$("$PHOTOMETA" token --role org_admin --org "$organization" --sub de300201-0000-8000-8000-000000000001)
PHOTOMETA_SERVICE_TOKEN=$("$PHOTOMETA" token --role service --org "$organization")
export PHOTOMETA_TOKEN PHOTOMETA_SERVICE_TOKEN

"$@"

kill -TERM "$server"
ended=0
wait "$server" || ended=$?
server=
[ "$ended" -eq 0 ] || fail "the server ended with status $ended"
