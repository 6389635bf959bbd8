#!/usr/bin/env bash
# Loads the page in headless Chromium, from an origin that may call and from one that may not, and compares what it says.
# Debian's package chromium is installed where it is missing and that is possible; elsewhere this says so, and with
# PHOTOMETA_TEST_REQUIRES_CHROMIUM=1 fails. Needs a built photometa, npm and Python.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
    echo "browser: $*" >&2
    exit 1
}
installed() {
    command -v chromium || command -v chromium-browser || command -v google-chrome || true
}
if [ -z "$(installed)" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends chromium >/dev/null || true
fi
browser=$(installed)
if [ -z "$browser" ]; then
    echo "left out: the page was not loaded, because there is no Chromium"
    [ -z "${PHOTOMETA_TEST_REQUIRES_CHROMIUM:-}" ]
    exit
fi

temp=$(mktemp -d)
pages=()
finish() {
    status=$?
    [ ${#pages[@]} -eq 0 ] || kill "${pages[@]}" 2>/dev/null || true
    rm -rf "$temp"
    exit "$status"
}
trap finish EXIT

mkdir "$temp/page"
cp examples/browser/{package.json,tsconfig.json,page.ts,index.html,load.js} "$temp/page/"
examples/generate/generate.sh typescript "$temp/page/stubs"
(
    cd "$temp/page"
    npm install --no-audit --no-fund --loglevel=error
    npm run --silent check
    npm run --silent build -- --log-level=warning
)

# The same page from two origins: two ports.
serve() {
    python3 -u - "$temp/page" "$temp/$1" >/dev/null 2>&1 <<'PYTHON' &
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
with open(sys.argv[2] + ".new", "w") as file:
    file.write(f"http://127.0.0.1:{server.server_port}")
import os
os.rename(sys.argv[2] + ".new", sys.argv[2])
server.serve_forever()
PYTHON
    pages+=($!)
    for _ in $(seq 100); do
        [ ! -e "$temp/$1" ] || return 0
        sleep 0.1
    done
    fail "the page is not served"
}
serve allowed
serve other

cat >"$temp/say.sh" <<'END'
for origin in allowed other; do
    node load.js "$1" "$(cat "../$origin")/index.html#address=http://$PHOTOMETA_ADDRESS&token=$PHOTOMETA_TOKEN" >"../$origin.said" || exit
done
END
server=$PWD/examples/with-server.sh
(cd "$temp/page" && HOME=$temp "$server" --cors-allow-origin "$(cat "$temp/allowed")" -- bash "$temp/say.sh" "$browser")

cat >"$temp/expected" <<'END'
I am org_admin of de300101-0000-8000-8000-000000000001; the request has an id: true
5 photos, and there are more; the first one is demo/de300301-0000-8000-8000-000000000001/01-ridge-north.jpg
written at a position: true; read again: true
InvalidArgument INVALID_FIELDS: photo.project_id, photo.s3_url, photo.width
exported 12 images; there were bytes: true
END
diff -u "$temp/expected" "$temp/allowed.said" || fail "the page of an origin that may call should have said that"
grep -q '^whoAmI failed: ' "$temp/other.said" && ! grep -q 'I am\|photos\|exported [0-9]' "$temp/other.said" ||
    { cat "$temp/other.said" >&2; fail "the page of an origin that may not call should have failed"; }
cat "$temp/allowed.said"
echo "a page of another origin is kept out: $(head -n 1 "$temp/other.said")"
