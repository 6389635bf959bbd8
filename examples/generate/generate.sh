#!/usr/bin/env bash
# Makes the stubs of a language: examples/generate/generate.sh python|typescript|go FOLDER
# Needs Python with venv for Python, npm for the others, and for Go the plugins protoc-gen-go and protoc-gen-go-grpc
# (Debian has both under these names). Tools are installed for the moment, or once in STUB_TOOLS.
set -euo pipefail

fail() {
    echo "generate.sh: $*" >&2
    exit 1
}

[ $# -eq 2 ] || fail "say which language and where: generate.sh python|typescript|go FOLDER"
language=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
cd "$(dirname "$0")/../.."

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
tools=${STUB_TOOLS:-$temp/tools}

# buf, and whatever else of npm is asked for.
from_npm() {
    command -v npm >/dev/null || fail "npm is missing; it brings buf"
    [ -x "$tools/node_modules/.bin/buf" ] && [ -x "$tools/node_modules/.bin/protoc-gen-es" ] ||
        npm install --prefix "$tools" --no-save --no-audit --no-fund --loglevel=error \
            @bufbuild/buf@1.75.0 @bufbuild/protobuf@2.17.0 @bufbuild/protoc-gen-es@2.17.0
    export PATH="$tools/node_modules/.bin:$PATH"
}

# buf keeps a cache in HOME, which need not be writable.
generate() {
    HOME=$temp buf generate --template "$1" --output "$folder"
}

case $language in
python)
    python=${PYTHON:-python3}
    if ! "$python" -c 'import grpc_tools' 2>/dev/null; then
        [ -x "$tools/venv/bin/python" ] || "$python" -m venv "$tools/venv"
        python=$tools/venv/bin/python
        "$python" -m pip install --quiet 'grpcio-tools>=1.71'
    fi
    "$python" -m grpc_tools.protoc --proto_path=proto --python_out="$folder" --pyi_out="$folder" --grpc_python_out="$folder" \
        proto/photometa/v1/*.proto
    ;;
typescript)
    from_npm
    generate examples/generate/typescript.yaml
    ;;
go)
    for plugin in protoc-gen-go protoc-gen-go-grpc; do
        command -v "$plugin" >/dev/null ||
            fail "$plugin is missing: install Debian's package $plugin, or the module of google.golang.org with go install"
    done
    from_npm
    sed "s|GO_PREFIX|${GO_PREFIX:-photometa}|" examples/generate/go.yaml >"$temp/go.yaml"
    generate "$temp/go.yaml"
    ;;
*) fail "$language is none of python, typescript and go" ;;
esac
echo "the stubs for $language are in $folder"
