# The commands of the README. `just` alone lists them.

[private]
default:
    @just --list

# Serve on 127.0.0.1:50051, with a private PostgreSQL.
run *arguments:
    cargo run -- {{arguments}}

# Every test, against a real PostgreSQL that the tests start themselves.
test *arguments:
    cargo test --locked {{arguments}}

# What must be clean before a commit.
lint:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings

# Format the code.
fmt:
    cargo fmt

# The contract against its style rules and against what was released; needs buf. `just contract release` at a release.
contract *arguments:
    .ci/contract {{arguments}}

# docs/rpcs.md after a change of the contract or its comments.
rpcs:
    PHOTOMETA_TEST_WRITES_RPCS=1 cargo test --locked --test it rpc_docs::

# The inputs of fuzz/corpus/rpc that the contract has made useless: those of RPCs that are new or have another number.
corpus:
    PHOTOMETA_TEST_WRITES_CORPUS=1 cargo test --locked -p photometa-fuzz --test small corpus_has_an_input

# Stubs for a client: `just stubs python|typescript|go FOLDER`.
stubs language folder:
    examples/generate/generate.sh {{language}} {{folder}}

# What comes in with the dependencies: the Rust they need, licences, banned crates, sources, advisories; needs cargo-deny.
deny:
    .ci/supply-chain

# deploy/licences.txt after a change of dependencies.
licences:
    .ci/supply_chain.py licences --write

# A CycloneDX list of what is in the program, as target/sbom/photometa.cdx.json.
sbom:
    .ci/sbom

# Inputs at random for a target or for all of them, so many seconds each: `just fuzz rpc 600`; needs a C++ compiler.
fuzz *arguments:
    fuzz/run {{arguments}}

# The SQL of the versions that the database lacks.
plan:
    cargo run -- migrate plan

# migrations/README.md and migrations/declared.txt after a change of the schema, from a database of its own.
describe:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --locked
    data=$(mktemp -d)
    trap 'rm -rf "$data"' EXIT
    # As root, the private PostgreSQL runs as another user, who has to pass.
    chmod 711 "$data"
    export PHOTOMETA_DATA_DIR="$data/database"
    target/debug/photometa migrate up
    target/debug/photometa migrate describe --write migrations

# The table of docs/configuration.md after a change of settings.
settings:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --locked
    page=docs/configuration.md
    new=$(mktemp)
    sed '/begin generated settings/q' $page > $new
    target/debug/photometa config describe >> $new
    sed -n '/end generated settings/,$p' $page >> $new
    cat $new > $page
    rm $new

# Whether the database keeps tenants apart and is fit to serve.
doctor:
    cargo run -- doctor

# Line coverage; needs cargo-tarpaulin. Commands that tests start as programs are not counted.
coverage:
    cargo tarpaulin --engine ptrace --locked --target-dir target/coverage --timeout 900 --out Stdout -- --test-threads 4

# The examples and the cookbook, each against a server of its own: all of them, or `just examples worker typescript rust cookbook`.
examples *names:
    cargo build --locked
    examples/check.sh {{names}}
    examples/browser/check.sh
    examples/trace/check.sh

# docs/cookbook.md with the answers of today.
cookbook:
    cargo build --locked
    examples/with-server.sh -- examples/cookbook/run.py --write

# How fast storing detections is, beside PostgreSQL without the service; `just bench --quick` for an impression.
bench *arguments:
    cargo bench --locked --bench ingest -- run {{arguments}}

# How fast reading photos is, beside the same SQL through pgbench; `just bench-reading --quick` for an impression.
bench-reading *arguments:
    cargo bench --locked --bench reading -- run {{arguments}}

# What becomes of the service when too much is asked of it; `just bench-overload --quick` for an impression.
bench-overload *arguments:
    cargo bench --locked --bench overload -- {{arguments}}

# A plain PostgreSQL on 127.0.0.1:5432, in a container.
database:
    docker compose --file deploy/compose.yaml up --detach --wait

# All of it, as continuous integration runs it.
ci:
    .ci/run
