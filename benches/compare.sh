#!/usr/bin/env bash
# How fast is CreateDetection compared with its bare transaction? benches/README.md says how to read the table.
#   benches/compare.sh [seconds]    seconds of each run, 10 by default
# PROFILE=debug tries the script itself with a debug build; its numbers mean nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-10}
profile=${PROFILE:-release}
rounds=3
case $seconds in
'' | *[!0-9]* | 0) echo "compare: $seconds is no number of seconds" >&2; exit 2 ;;
esac

# The demo's first organization and project: src/cli/seed/demo.rs. `serve` makes them.
organization=de300101-0000-8000-8000-000000000001
project=de300301-0000-8000-8000-000000000001
# Every client has a database connection on both sides; PostgreSQL gets 20 connections more than the pool.
pool_size=64

unset PHOTOMETA_DATABASE_URL PHOTOMETA_MIGRATION_URL PHOTOMETA_JWT_SECRET PHOTOMETA_JWT_ISSUER PHOTOMETA_JWT_AUDIENCE

pgbench=$(command -v pgbench || true)
for found in /usr/lib/postgresql/*/bin/pgbench; do
    if [[ -z $pgbench && -x $found ]]; then pgbench=$found; fi
done
if [[ -z $pgbench ]]; then
    echo "compare: pgbench is missing; it comes with PostgreSQL (Debian: apt install postgresql-contrib)" >&2
    exit 1
fi

# The service last: the benchmark's build leaves one with the features of tests behind.
case $profile in
release) bench=(cargo bench --no-run); service=(cargo build --release) ;;
debug) bench=(cargo build); service=(cargo build) ;;
*) echo "compare: PROFILE is release or debug" >&2; exit 2 ;;
esac
load=$("${bench[@]}" --bench load --message-format=json-render-diagnostics |
    sed -n '/"kind":\["bench"\]/s/.*"executable":"\([^"]*\)".*/\1/p')
photometa=$("${service[@]}" --bin photometa --message-format=json-render-diagnostics |
    sed -n '/"kind":\["bin"\]/s/.*"executable":"\([^"]*\)".*/\1/p')
if [[ ! -x $load || ! -x $photometa ]]; then
    echo "compare: cargo did not say where it put the programs" >&2
    exit 1
fi

# Not in /tmp, which may be memory: commits must reach a disk.
work=$(mktemp -d /var/tmp/photometa-compare.XXXXXX)
# As root, PostgreSQL's own user passes through it.
chmod 711 "$work"
data=$work/data
service_pid=
running=
stop() {
    local status=$?
    trap - EXIT INT TERM
    if ((status == 1)) && [[ -s $work/serve.log ]]; then tail -n 5 "$work/serve.log" >&2; fi
    if [[ -n $running ]]; then kill "$running" 2>/dev/null || true; fi
    if [[ -n $service_pid ]]; then
        # Stops its PostgreSQL too.
        kill "$service_pid" 2>/dev/null || true
        wait "$service_pid" 2>/dev/null || true
    fi
    rm -rf "$work"
    exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$photometa" serve --listen 127.0.0.1:0 --address-file "$work/address" --data-dir "$data" --pool-size "$pool_size" \
    >"$work/serve.log" 2>&1 &
service_pid=$!
for ((tries = 0; tries < 600; tries++)); do
    if [[ -s $work/address ]]; then break; fi
    kill -0 "$service_pid"
    sleep 0.1
done
address=$(<"$work/address")
PHOTOMETA_TOKEN=$("$photometa" token --role service --org "$organization" --ttl 12h --data-dir "$data")
export PHOTOMETA_TOKEN

# In the background, so that a signal to this script is not kept waiting.
quietly() {
    "$@" >"$work/output" 2>"$work/errors" &
    running=$!
    local status=0
    wait "$running" || status=$?
    running=
    if ((status != 0)); then cat "$work/output" "$work/errors" >&2; fi
    return "$status"
}
field() { sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" "$work/output"; }

run_service() { # clients
    quietly "$load" --json --address "$address" --rpc create-detection --project "$project" --concurrency "$1" \
        --duration "${seconds}s" --service-pid "$service_pid" --data-dir "$data"
    if [[ $(field errors) != 0 ]]; then cat "$work/errors" >&2; return 1; fi
    echo "$(field rate) $(field p50_ms) $(field p99_ms) $(field service_cpu_us) $(field postgres_cpu_us)" \
        >>"$work/service"
}
run_pgbench() { # clients script
    quietly "$pgbench" -n -M prepared -c "$1" -j 2 -T "$seconds" -f "benches/pgbench/$2.sql" \
        -h "$data/run" -U photometa_app photometa
    sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$work/output" >>"$work/$2"
}
# The run with the median rate.
median() { sort -g "$work/$1" | sed -n "$(((rounds + 1) / 2))p"; }

# Photos, statistics and warm caches before anything counts.
"$load" --address "$address" --project "$project" --concurrency 8 --duration 2s >"$work/warm"
"$pgbench" -n -c 1 -t 1 -f <(echo 'vacuum analyze;') -h "$data/run" -U postgres photometa >"$work/warm" 2>&1

echo "CreateDetection, $profile build, $(nproc) processors, median of $rounds runs of $seconds s each"
row='%7s  %9s  %9s  %6s  %11s  %6s  %7s  %7s  %19s\n'
# shellcheck disable=SC2059
printf "$row" clients service/s pgbench/s ratio pipelined/s ratio 'p50 ms' 'p99 ms' 'CPU µs service/PG'
for clients in 1 8 32; do
    rm -f "$work"/service "$work"/create_detection*
    for ((round = 1; round <= rounds; round++)); do
        # Neither side always runs on the fresher disk.
        if ((round % 2)); then
            run_service "$clients"
            run_pgbench "$clients" create_detection
            run_pgbench "$clients" create_detection_pipelined
        else
            run_pgbench "$clients" create_detection_pipelined
            run_pgbench "$clients" create_detection
            run_service "$clients"
        fi
    done
    read -r rate p50 p99 service_cpu postgres_cpu < <(median service)
    plain=$(median create_detection)
    pipelined=$(median create_detection_pipelined)
    ratio() { awk -v a="$rate" -v b="$1" 'BEGIN { printf "%.2f", a / b }'; }
    # shellcheck disable=SC2059
    LC_ALL=C printf "$row" "$clients" "${rate%.*}" "${plain%.*}" "$(ratio "$plain")" "${pipelined%.*}" \
        "$(ratio "$pipelined")" "$p50" "$p99" "${service_cpu%.*}/${postgres_cpu%.*}"
done
