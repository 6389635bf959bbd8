#!/usr/bin/env bash
# Type-checks and runs the review client in TypeScript: with a server in trouble, until there is nothing to review, and nothing is
# reviewed twice. For check.sh.
set -euo pipefail
checks=$(cd "$(dirname "$0")" && pwd)
cd "$checks/../typescript"

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
fail() {
    echo "typescript.sh: $*" >&2
    exit 1
}

# Beside the sources only for the moment: the repository stays as it is.
cp package.json tsconfig.json review.ts "$temp/"
../generate/generate.sh typescript "$temp/stubs"
cd "$temp"
npm install --no-audit --no-fund --loglevel=error
npm run --silent check
npm run --silent build -- --log-level=warning

# Four, of which flaky.py calls the second one changed, then all that are left, then none.
"$PYTHON" "$checks/flaky.py" npm run --silent review -- 4 | tee said
grep -Eq '^[0-9a-f-]{36} CONFIRM: ' said || fail "nothing was confirmed"
sed -n 2p said | grep -Eq '^[0-9a-f-]{36} was changed meanwhile$' || fail "a review of what was changed was sent again"
tail -n 1 said | grep -Eq '^3 reviewed; [0-9]+ answers on their photos$' || fail "the last line is another one"
npm run --silent review -- 100 >all
grep -q ' CORRECT: ' said all || fail "nothing was corrected"
cat said all | grep -E '^[0-9a-f-]{36} CO' | cut -d ' ' -f 1 | sort | uniq -d >twice
[ ! -s twice ] || fail "reviewed twice: $(cat twice)"
npm run --silent review -- 1 | tee none
grep -qx '0 reviewed; 0 answers on their photos' none || fail "the queue should be empty"
if PHOTOMETA_TOKEN=nonsense npm run --silent review -- 1 2>refused; then
    fail "a wrong credential was no failure"
fi
grep -q CREDENTIAL_INVALID refused || fail "the reason was not told: $(cat refused)"
