#!/usr/bin/env bash
# Builds and runs the upload client in Rust: with a server in trouble, again over the same photos, with a photo that is refused,
# with lines that are none and with a wrong credential. For check.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cargo build --locked --quiet --package photometa-upload-example
upload=("${CARGO_TARGET_DIR:-target}/debug/photometa-upload-example" de300301-0000-8000-8000-000000000001)
# With its end of line, as a file has it.
export PHOTOMETA_TOKEN=$PHOTOMETA_SERVICE_TOKEN$'\n'

# The exit status and the last line that a command must have.
expect() {
    local status=0
    "${@:3}" <"$temp/photos" >"$temp/said" 2>&1 || status=$?
    [ "$status $(tail -n 1 "$temp/said")" = "$1 $2" ] ||
        { echo "rust.sh: status $status instead of $1, or the last line is not: $2" >&2; tail -n 5 "$temp/said" >&2; exit 1; }
    echo "$2"
}
# One of them is refused by flaky.py, and one that is stored already is sent again.
seq 1200 | sed 's|.*|upload/&.jpg 4032 3024|' >"$temp/photos"
expect 1 "1200 photos: 1198 created, 1 already there, 1 refused" "$PYTHON" examples/checks/flaky.py "${upload[@]}"
grep -qx 'upload/2.jpg refused: .* (STALE_ETAG)' "$temp/said"
expect 0 "1200 photos: 0 created, 1200 already there, 0 refused" "${upload[@]}"
printf 'upload/wrong.jpg -1 3024\nupload/new.jpg 4032 3024\n' >>"$temp/photos"
expect 1 "1202 photos: 1 created, 1200 already there, 1 refused" "${upload[@]}"
grep -q '^upload/wrong.jpg refused: .*width' "$temp/said"

# Nothing is sent before a line that is none: the photo of the first one is new at the end.
for line in 'upload/3.jpg 40' 'upload/4.jpg forty 30' 'upload/5.jpg 40 30 jpg'; do
    printf 'upload/before.jpg 4032 3024\n%s\n' "$line" >"$temp/photos"
    expect 1 "upload: line 2 is not a key, a width and a height in pixels: $line" "${upload[@]}"
done
echo 'upload/before.jpg 4032 3024' >"$temp/photos"
PHOTOMETA_TOKEN=nonsense expect 1 "upload: the credential is no readable JSON Web Token (CREDENTIAL_INVALID)" "${upload[@]}"
expect 0 "1 photos: 1 created, 0 already there, 0 refused" "${upload[@]}"
