#!/usr/bin/env bash
# Whether the dashboard and the rules show anything: a server of its own, a Prometheus that scrapes it, calls of many kinds,
# and then every expression. Takes two minutes. Needs a built photometa (or PHOTOMETA=program), Prometheus (Debian: prometheus),
# Python 3.10 or newer and a package index.
#
#   deploy/observability/check.sh [PICTURE]      draws the panels into PICTURE (a PNG)
set -euo pipefail

fail() {
    echo "deploy/observability/check.sh: $*" >&2
    exit 1
}

# Beside the server: with the folder of what was installed, the admin port, and the picture if one is wanted.
look() {
    local temp=$1 admin=$2 picture=${3:-} python=$1/venv/bin/python web ended=0
    web=127.0.0.1:$(free_port "$python")
    # The file of compose.yaml, with this server in place of that one, and more often.
    sed -e "s/photometa:9464/$admin/" -e 's/interval: 15s/interval: 1s/' deploy/observability/prometheus.yaml >"$temp/prometheus.yaml"
    cp deploy/observability/rules.yaml "$temp/"
    prometheus --config.file="$temp/prometheus.yaml" --storage.tsdb.path="$temp/tsdb" --web.listen-address="$web" >"$temp/prometheus.log" 2>&1 &
    # Not local: read when this has returned.
    prometheus=$!
    trap 'kill -TERM "$prometheus" 2>/dev/null && wait "$prometheus" || true' EXIT

    "$python" deploy/observability/load.py "$temp/stubs" "${SECONDS_OF_LOAD:-80}" "$PHOTOMETA_ADDRESS"
    sleep 2
    "$python" -c "from urllib.request import urlopen; open('$temp/metrics', 'wb').write(urlopen('http://$admin/metrics').read())"
    # 3: it can be read, and promtool would name something otherwise; OpenTelemetry's names are what they are.
    promtool check metrics <"$temp/metrics" >"$temp/lint.log" 2>&1 || ended=$?
    [ "$ended" -eq 0 ] || [ "$ended" -eq 3 ] || fail "promtool cannot read the metrics: $(cat "$temp/lint.log")"
    ended=0
    "$python" deploy/observability/check.py names "$temp/metrics" || ended=1
    "$python" deploy/observability/check.py live "http://$web" ${picture:+"$picture"} || ended=1
    [ "$ended" -eq 0 ] || fail "see above"
}

free_port() {
    "$1" -c 'import socket; one = socket.socket(); one.bind(("127.0.0.1", 0)); print(one.getsockname()[1])'
}

if [ "${1:-}" = --look ]; then
    look "${@:2}"
    exit
fi

picture=${1:+$(realpath "$1")}
cd "$(dirname "$0")/../.."
command -v prometheus >/dev/null || fail "prometheus is missing (Debian: apt install prometheus)"
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

echo "installing what the load needs"
"${PYTHON:-python3}" -m venv "$temp/venv"
"$temp/venv/bin/pip" install --quiet --requirement examples/requirements.txt ${picture:+matplotlib}
PYTHON=$temp/venv/bin/python examples/generate/generate.sh python "$temp/stubs"

echo "starting a server and Prometheus"
admin=127.0.0.1:$(free_port "$temp/venv/bin/python")
# So small that some calls are refused and some wait in vain: otherwise these panels would be empty.
examples/with-server.sh --admin-listen "$admin" --backlog-interval 2s --pool-size 4 --pool-wait 100ms --max-concurrent-calls 40 \
    -- deploy/observability/check.sh --look "$temp" "$admin" ${picture:+"$picture"}
