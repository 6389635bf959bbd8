#!/usr/bin/env bash
# Copies what `docker build` is given, as Dockerfile.dockerignore says it, into an empty folder: deploy/context.sh FOLDER
set -euo pipefail
[ $# -eq 1 ] && [ -d "$1" ] || { echo "Usage: deploy/context.sh FOLDER" >&2; exit 2; }
folder=$(realpath "$1")
cd "$(dirname "$0")/.."
mapfile -t kept < <(sed -n 's/^!//p' deploy/Dockerfile.dockerignore)
# Unquoted: they are patterns.
# shellcheck disable=SC2048,SC2086
tar --create --exclude=fuzz/target --exclude=examples/rust/target -- ${kept[*]} | tar --extract --directory="$folder"
