#!/usr/bin/env bash
# Runs the Python worker: once killed in the middle, once to the end, once more over the same photos; with a server in trouble,
# and with a credential that has expired. For check.sh.
set -euo pipefail
cd "$(dirname "$0")/../.."

photos=400
temp=$(mktemp -d)
worker=
finish() {
    status=$?
    [ -z "$worker" ] || kill -KILL "$worker" 2>/dev/null || true
    rm -rf "$temp"
    exit "$status"
}
trap finish EXIT

fail() {
    echo "worker.sh: $*" >&2
    exit 1
}

# As the administrator: photos, their ids in a file.
cat >"$temp/arrange.py" <<'PYTHON'
import os, sys
import grpc
from photometa.v1 import detection_service_pb2 as detections, detection_service_pb2_grpc as detections_grpc
from photometa.v1 import photo_service_pb2 as photos, photo_service_pb2_grpc as photos_grpc
from photometa.v1 import project_service_pb2 as projects, project_service_pb2_grpc as projects_grpc

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

"$PYTHON" "$temp/arrange.py" arrange "$photos" "$temp/ids"
# What a worker is.
export PHOTOMETA_TOKEN=$PHOTOMETA_SERVICE_TOKEN
mapfile -t ids <"$temp/ids"
[ "${#ids[@]}" -eq "$photos" ] || fail "${#ids[@]} photos instead of $photos"

echo "killing the worker in the middle"
# Made here, because the loop may look before the worker's shell has made it.
: >"$temp/killed"
"$PYTHON" examples/worker.py "${ids[@]}" >"$temp/killed" 2>&1 &
worker=$!
for _ in $(seq 3000); do
    [ "$(wc -l <"$temp/killed")" -lt 20 ] || break
    kill -0 "$worker" 2>/dev/null || break
    sleep 0.01
done
kill -KILL "$worker" || { cat "$temp/killed" >&2; fail "the worker ended by itself"; }
wait "$worker" 2>/dev/null || true
worker=
before=$("$PYTHON" "$temp/arrange.py" count "$temp/ids")
[ "$before" -ge 20 ] && [ "$before" -lt "$photos" ] || fail "$before detections after the kill"

# The last line of the worker says what it did; compares it with what must have happened.
run() {
    "$PYTHON" examples/worker.py "${ids[@]}" >"$temp/run" 2>&1 || { tail -n 5 "$temp/run" >&2; fail "the worker failed"; }
    said=$(tail -n 1 "$temp/run")
    [ "$said" = "$photos photos: $1 created, $2 already there, 0 failed" ] || fail "the worker said: $said"
    stored=$("$PYTHON" "$temp/arrange.py" count "$temp/ids")
    [ "$stored" -eq "$photos" ] || fail "$stored detections for $photos photos"
    echo "$said"
}
echo "running it again over all photos, twice"
run "$((photos - before))" "$before"
run 0 "$photos"
echo "the worker lost nothing and stored nothing twice"

# What a run says at last must be this, with exit status 1.
fails() {
    status=0
    "${@:2}" >"$temp/run" 2>&1 || status=$?
    [ "$status $(tail -n 1 "$temp/run")" = "1 $1" ] || { tail -n 5 "$temp/run" >&2; fail "status $status instead of 1, or it did not say: $1"; }
    echo "$1"
}
echo "with a server in trouble, and a token with its end of line"
PHOTOMETA_TOKEN=$PHOTOMETA_TOKEN$'\n' fails "3 photos: 1 created, 0 already there, 2 failed" \
    "$PYTHON" examples/checks/flaky.py "$PYTHON" examples/worker.py --run-id second "${ids[@]:0:3}"
grep -q 'failed: .* (STALE_ETAG)' "$temp/run" && grep -q 'failed: .* (PHOTO_ALREADY_EXISTS)' "$temp/run" ||
    fail "the wrong ones failed"

echo "with a credential that has expired"
PHOTOMETA_TOKEN=$(env -u PHOTOMETA_SERVICE_TOKEN "$PHOTOMETA" token --role service --org de300101-0000-8000-8000-000000000001 --ttl 1s)
sleep 2
ended="0 photos: 0 created, 0 already there, 0 failed; stopped: the credential has expired; get a new one (CREDENTIAL_EXPIRED)"
fails "$ended" "$PYTHON" examples/worker.py "${ids[@]}"
diff <(sed 's/$/ left/' "$temp/ids") <(sed '$d' "$temp/run") || fail "not all ids were left"
# From standard input it takes one, and the others are there for the next worker.
{
    fails "$ended; standard input not read to its end" "$PYTHON" examples/worker.py
    cat >"$temp/unread"
} <"$temp/ids"
[ "$(head -n 1 "$temp/run")" = "${ids[0]} left" ] || fail "the id in hand was not left"
diff <(tail -n +2 "$temp/ids") "$temp/unread" || fail "ids were read that nobody worked on"
