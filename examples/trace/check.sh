#!/usr/bin/env bash
# One trace from a client in Python through the RPC to the database, as a collector gets it. Needs a built photometa,
# Python 3.9 or newer and a package index; leaves examples/stubs behind.
set -euo pipefail
cd "$(dirname "$0")/../.."

photometa=${CARGO_TARGET_DIR:-target}/debug/photometa
python=${PYTHON:-python3}
[ -x "$photometa" ] || { echo "examples/trace/check.sh: $photometa is missing; run cargo build" >&2; exit 1; }

temp=$(mktemp -d)
# A root server's PostgreSQL runs as another user, which must be able to pass through.
chmod 711 "$temp"
trap 'rm -rf "$temp"' EXIT

# The developer's own settings must not reach this server.
for name in $(compgen -e PHOTOMETA_ || true) $(compgen -e OTEL_ || true); do
    unset "$name"
done

echo "installing what the client needs"
"$python" -m venv "$temp/venv"
"$temp/venv/bin/pip" install --quiet --requirement examples/requirements.txt --requirement examples/trace/requirements.txt
python=$temp/venv/bin/python
PYTHON=$python examples/generate/generate.sh python examples/stubs

"$python" examples/trace/check.py "$photometa" "$temp"
