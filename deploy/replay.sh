#!/usr/bin/env bash
# What the image does, where there is no engine: the static program alone in a read-only root, as user 65532 without any
# capability, against a PostgreSQL over TCP that is found by DNS. Migrates, serves, asks the health check, seeds, calls,
# ends by SIGTERM. Needs Linux, root (it makes namespaces of its own, in which all of this is gone in the end), the programs
# of PostgreSQL, and Python 3 for the name server.
set -euo pipefail
self=$(realpath "$0")
[ $# -eq 0 ] || [ ! -e "$1" ] || set -- "$(realpath "$1")"
cd "$(dirname "$self")/.."

usage() {
    echo "Usage: deploy/replay.sh [PROGRAM]

  PROGRAM   a static photometa [default: built as deploy/Dockerfile builds it, which takes minutes]"
}

fail() {
    echo "deploy/replay.sh: $*" >&2
    exit 1
}

step() {
    printf -- '-- %s\n' "$*"
}

case ${1:-} in
    -h | --help) usage && exit 0 ;;
    -*) fail "there is no option $1; see --help" ;;
esac
[ "$(id -u)" -eq 0 ] || fail "run it as root: it makes namespaces"
for needed in unshare setpriv chroot ip python3; do
    command -v "$needed" >/dev/null || fail "$needed is missing"
done

program=${1:-}
if [ -z "$program" ]; then
    target=$(rustc --print host-tuple) context=$(mktemp -d)
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
    deploy/context.sh "$context"
    (cd "$context" && CARGO_PROFILE_RELEASE_DEBUG=0 RUSTFLAGS='-C target-feature=+crt-static' \
        cargo build --release --locked --bin photometa --target "$target")
    rm -rf "$context"
    program=$CARGO_TARGET_DIR/$target/release/photometa
fi
[ -x "$program" ] || fail "$program is no program"

if [ -z "${PHOTOMETA_REPLAY_INSIDE:-}" ]; then
    # Ends with its first process, and takes all others, the mounts and the network along.
    PHOTOMETA_REPLAY_INSIDE=1 timeout --kill-after=10 180 \
        unshare --mount --net --pid --fork --kill-child --mount-proc -- "$self" "$program"
    exit
fi

postgres=${PG_BIN:-$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1)}
[ -x "$postgres/initdb" ] || fail "PostgreSQL is missing; install it, or set PG_BIN"
for name in $(compgen -e PHOTOMETA_ || true); do
    unset "$name"
done

step "the program is static"
ldd "$program" 2>&1 | grep -E 'statically linked|not a dynamic' || fail "$program needs shared libraries"

temp=$(mktemp -d)
finish() {
    status=$?
    trap - EXIT
    [ "$status" -eq 0 ] || tail -n 20 "$temp"/*.log >&2
    # What is left ends with the namespace.
    umount --recursive "$temp/image" 2>/dev/null || true
    rm -rf --one-file-system "$temp"
    exit "$status"
}
trap finish EXIT
chmod 711 "$temp"
ip link set lo up

step "PostgreSQL, and a name server that knows it"
install --directory --owner=nobody "$temp/database"
as_nobody=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
"${as_nobody[@]}" "$postgres/initdb" --pgdata="$temp/database" --username=postgres --auth=trust --no-sync >"$temp/initdb.log" 2>&1
"${as_nobody[@]}" "$postgres/postgres" -D "$temp/database" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off \
    >"$temp/postgres.log" 2>&1 &
# Answers every question for an address with 127.0.0.1, and every other one with nothing.
python3 - >"$temp/dns.log" 2>&1 <<'PYTHON' &
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
while True:
    asked, client = server.recvfrom(512)
    end = asked.index(b"\0", 12) + 5
    address = asked[end - 4:end - 2] == b"\0\1"
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1" if address else b""
    server.sendto(asked[:2] + b"\x81\x80\0\1\0" + bytes([address]) + b"\0\0\0\0" + asked[12:end] + answer, client)
PYTHON
for _ in $(seq 100); do
    ! "$postgres/pg_isready" --quiet --host=127.0.0.1 --username=postgres || break
    sleep 0.1
done
# As deploy/README.md prepares a database.
ask=("$postgres/psql" --host=127.0.0.1 --username=postgres --no-psqlrc --quiet --set=ON_ERROR_STOP=1)
"${ask[@]}" --command='create database photometa'
"${ask[@]}" --dbname=photometa --file=deploy/postgres/roles.sql
"${ask[@]}" --command='create role photometa_migrate login' --command='grant photometa_owner to photometa_migrate'

step "the image's root"
# What distroless/static has that matters here, and what an engine adds: the names, /proc, /dev and /tmp.
image=$temp/image
mkdir -p "$image"/{etc/ssl/certs,usr/local/bin,proc,tmp,dev}
cp "$program" "$image/usr/local/bin/photometa"
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/"
echo 'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin' >"$image/etc/passwd"
echo 'hosts: files dns' >"$image/etc/nsswitch.conf"
echo '127.0.0.1 localhost' >"$image/etc/hosts"
echo 'nameserver 127.0.0.1' >"$image/etc/resolv.conf"
mount --bind "$image" "$image"
mount -o remount,bind,ro "$image"
mount -t proc proc "$image/proc"
# A static program has random bytes from here; the kernel's call is found in the shared library only.
mount -t tmpfs -o noexec,nosuid tmpfs "$image/dev"
for device in null zero random urandom; do
    touch "$image/dev/$device"
    mount --bind "/dev/$device" "$image/dev/$device"
done
mount -o remount,ro "$image/dev"
mount -t tmpfs -o noexec,nosuid,nodev tmpfs "$image/tmp"

inside=("$(command -v setpriv)" --no-new-privs "$(command -v chroot)" --userspec=65532:65532 "$image" /usr/local/bin/photometa)
settings=(
    PHOTOMETA_LISTEN=0.0.0.0:50051 PHOTOMETA_ADMIN_LISTEN=0.0.0.0:9464
    PHOTOMETA_DATABASE_URL=postgres://photometa_app@db.photometa.test/photometa
    PHOTOMETA_JWT_SECRET=0123456789abcdef0123456789abcdef0123456789abcdef
)
run() {
    env --ignore-environment "${settings[@]}" "${inside[@]}" "$@"
}

step "migrate up"
migration=PHOTOMETA_MIGRATION_URL=postgres://photometa_migrate@db.photometa.test/photometa
env --ignore-environment "${settings[@]}" "$migration" "${inside[@]}" migrate up | tail -n 1

step "serve"
env --ignore-environment "${settings[@]}" "${inside[@]}" serve >"$temp/serve.log" 2>&1 &
server=$!
for _ in $(seq 300); do
    ! run healthcheck 2>"$temp/health.log" || break
    kill -0 "$server" 2>/dev/null || fail "the server ended before it was ready"
    sleep 0.1
done
run healthcheck || fail "the server was not ready within half a minute"

step "as whom"
grep -E '^(Uid|NoNewPrivs|CapEff|CapPrm)' "/proc/$server/status"
grep -qP '^Uid:\t65532\t65532\t65532\t65532$' "/proc/$server/status" || fail "it is not user 65532"
grep -qP '^CapEff:\t0+$' "/proc/$server/status" || fail "it has capabilities"
[ -z "$(find "$image" -xdev -newer "$temp/serve.log" -type f)" ] || fail "it has written into its root"

step "seed, and a call"
run seed | tail -n 2
organization=$("${ask[@]}" --dbname=photometa --tuples-only --no-align \
    --command='select organization_id from companycam_photos.photos group by 1 order by count(*) desc limit 1')
token=$(run token --role org_admin --org "$organization")
# An export is a call with rows of the database in its answer.
env --ignore-environment "${settings[@]}" PHOTOMETA_TOKEN="$token" "${inside[@]}" export coco --output /tmp/export.json | tail -n 1
[ -s "$image/tmp/export.json" ] || fail "the export is empty"

if run serve --help | grep -q -- --admin-listen; then
    step "the admin port"
    python3 - <<'PYTHON'
from urllib.request import urlopen
for page in "livez", "readyz", "metrics":
    answer = urlopen(f"http://127.0.0.1:9464/{page}", timeout=5)
    print(f"/{page}: {answer.status}, {len(answer.read())} bytes")
PYTHON
fi

step "SIGTERM"
# setpriv and chroot have become the program: this is its own process.
kill -TERM "$server"
ended=0
wait "$server" || ended=$?
[ "$ended" -eq 0 ] || fail "the server ended with status $ended"
echo "it ended with status 0"
