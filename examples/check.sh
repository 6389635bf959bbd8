#!/usr/bin/env bash
# Runs the Python worker against a server of its own: once killed in the middle, once to the end, once more over
# the same photos. Needs a built photometa, Python 3.9 or newer and a package index; leaves examples/stubs behind.
set -euo pipefail
cd "$(dirname "$0")/.."

photos=400
photometa=${CARGO_TARGET_DIR:-target}/debug/photometa
python=${PYTHON:-python3}
[ -x "$photometa" ] || { echo "examples/check.sh: $photometa is missing; run cargo build" >&2; exit 1; }

temp=$(mktemp -d)
# A root server's PostgreSQL runs as another user, which must be able to pass through.
chmod 711 "$temp"
server= worker=
finish() {
    status=$?
    trap - EXIT
    [ -z "$worker" ] || kill -KILL "$worker" 2>/dev/null || true
    if [ -n "$server" ] && kill -TERM "$server" 2>/dev/null; then
        wait "$server" || true
    fi
    if [ "$status" -ne 0 ] && [ -s "$temp/server.log" ]; then
        echo "examples/check.sh failed; the server's last words:" >&2
        tail -n 20 "$temp/server.log" >&2
    fi
    rm -rf "$temp"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    echo "examples/check.sh: $*" >&2
    exit 1
}

# The developer's own settings must not reach this server.
for name in $(compgen -e PHOTOMETA_ || true); do
    unset "$name"
done
export PHOTOMETA_DATA_DIR="$temp/data"

echo "installing what the worker needs"
"$python" -m venv "$temp/venv"
"$temp/venv/bin/pip" install --quiet --requirement examples/requirements.txt
python=$temp/venv/bin/python
mkdir -p examples/stubs
"$python" -m grpc_tools.protoc --proto_path=proto --python_out=examples/stubs --grpc_python_out=examples/stubs \
    proto/photometa/v1/*.proto

echo "starting a server"
"$photometa" serve --listen 127.0.0.1:0 --address-file "$temp/address" >"$temp/welcome" 2>"$temp/server.log" &
server=$!
for _ in $(seq 600); do
    [ ! -e "$temp/address" ] || break
    kill -0 "$server" 2>/dev/null || fail "the server ended before it was ready"
    sleep 0.1
done
[ -e "$temp/address" ] || fail "the server was not ready within a minute"
PHOTOMETA_ADDRESS=$(cat "$temp/address")
export PHOTOMETA_ADDRESS

# As the administrator whose credential the server printed: photos, their ids in a file, and the organization.
cat >"$temp/arrange.py" <<'PYTHON'
import os, sys
sys.path.insert(0, "examples/stubs")
import grpc
from photometa.v1 import detection_service_pb2 as detections, detection_service_pb2_grpc as detections_grpc
from photometa.v1 import photo_service_pb2 as photos, photo_service_pb2_grpc as photos_grpc
from photometa.v1 import project_service_pb2 as projects, project_service_pb2_grpc as projects_grpc
from photometa.v1 import session_service_pb2 as session, session_service_pb2_grpc as session_grpc

channel = grpc.insecure_channel(os.environ["PHOTOMETA_ADDRESS"])
call = {"metadata": (("authorization", "Bearer " + os.environ["PHOTOMETA_TOKEN"]),), "timeout": 30}

def photo(project_id, number):
    key = f"check/{number}.jpg"
    return photos.Photo(project_id=project_id, s3_key=key, s3_url=f"https://example.com/{key}", width=4032, height=3024, orientation=1 + number % 8)

def arrange(count, ids):
    project = projects_grpc.ProjectServiceStub(channel).ListProjects(projects.ListProjectsRequest(page_size=1), **call).projects[0]
    request = photos.BatchCreatePhotosRequest(photos=[photo(project.id, number) for number in range(count)])
    answer = photos_grpc.PhotoServiceStub(channel).BatchCreatePhotos(request, **call)
    with open(ids, "w") as file:
        file.writelines(result.photo.id + "\n" for result in answer.results)
    print(session_grpc.SessionServiceStub(channel).WhoAmI(session.WhoAmIRequest(), **call).organization_id)

def count(ids):
    with open(ids) as file:
        filter = detections.DetectionFilter(photo_ids=file.read().split())
    request = detections.ListDetectionsRequest(filter=filter, page_size=1000)
    stub = detections_grpc.DetectionServiceStub(channel)
    found = []
    while True:
        page = stub.ListDetections(request, **call)
        found += [detection.photo_id for detection in page.detections]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert len(found) == len(set(found)), "a photo has two detections of one run"
    print(len(found))

if sys.argv[1] == "arrange":
    arrange(int(sys.argv[2]), sys.argv[3])
else:
    count(sys.argv[2])
PYTHON

PHOTOMETA_TOKEN=$(sed -n 's/^ *export PHOTOMETA_TOKEN=//p' "$temp/welcome")
[ -n "$PHOTOMETA_TOKEN" ] || fail "the server printed no credential"
export PHOTOMETA_TOKEN
organization=$("$python" "$temp/arrange.py" arrange "$photos" "$temp/ids")
PHOTOMETA_TOKEN=$("$photometa" token --role service --org "$organization")
mapfile -t ids <"$temp/ids"
[ "${#ids[@]}" -eq "$photos" ] || fail "${#ids[@]} photos instead of $photos"

echo "killing the worker in the middle"
# Made here, because the loop may look before the worker's shell has made it.
: >"$temp/killed"
"$python" examples/worker.py "${ids[@]}" >"$temp/killed" 2>&1 &
worker=$!
for _ in $(seq 3000); do
    [ "$(wc -l <"$temp/killed")" -lt 20 ] || break
    kill -0 "$worker" 2>/dev/null || break
    sleep 0.01
done
kill -KILL "$worker" || { cat "$temp/killed" >&2; fail "the worker ended by itself"; }
wait "$worker" 2>/dev/null || true
worker=
before=$("$python" "$temp/arrange.py" count "$temp/ids")
[ "$before" -ge 20 ] && [ "$before" -lt "$photos" ] || fail "$before detections after the kill"

# The last line of the worker says what it did; compares it with what must have happened.
run() {
    "$python" examples/worker.py "${ids[@]}" >"$temp/run" 2>&1 || { tail -n 5 "$temp/run" >&2; fail "the worker failed"; }
    said=$(tail -n 1 "$temp/run")
    [ "$said" = "$photos photos: $1 created, $2 already there, 0 failed" ] || fail "the worker said: $said"
    stored=$("$python" "$temp/arrange.py" count "$temp/ids")
    [ "$stored" -eq "$photos" ] || fail "$stored detections for $photos photos"
    echo "$said"
}
echo "running it again over all photos, twice"
run "$((photos - before))" "$before"
run 0 "$photos"

kill -TERM "$server"
ended=0
wait "$server" || ended=$?
server=
[ "$ended" -eq 0 ] || fail "the server ended with status $ended"
echo "the worker lost nothing and stored nothing twice"
