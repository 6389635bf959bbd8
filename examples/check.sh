#!/usr/bin/env bash
# Runs the examples and the cookbook, each against a server of its own: `check.sh`, or some of them: `check.sh typescript rust`.
# Needs a built photometa; Python 3.9 or newer and npm, with their package indexes; jq. Leaves examples/stubs behind.
set -euo pipefail
cd "$(dirname "$0")/.."

# For the worker, and for flaky.py, which all clients meet.
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
"${PYTHON:-python3}" -m venv "$temp/venv"
export PYTHON=$temp/venv/bin/python PYTHONPATH=$PWD/examples/stubs
"$PYTHON" -m pip install --quiet --requirement examples/requirements.txt
examples/generate/generate.sh python examples/stubs

[ $# -gt 0 ] || set -- worker typescript rust cookbook
for name; do
    echo "-- $name"
    case $name in
    cookbook)
        with_buf=()
        command -v buf >/dev/null || with_buf=(npx --yes --package @bufbuild/buf@1.75.0 --)
        "${with_buf[@]}" examples/with-server.sh -- examples/cookbook/run.py
        ;;
    worker | typescript | rust) examples/with-server.sh -- "examples/checks/$name.sh" ;;
    *)
        echo "check.sh: there is no example $name" >&2
        exit 1
        ;;
    esac
done
