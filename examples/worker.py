#!/usr/bin/env python3
"""A detection worker: takes photo ids, looks at each photo, and stores what it saw.

    export PHOTOMETA_TOKEN=$(photometa token --role service --org UUID)
    python examples/worker.py --address 127.0.0.1:50051 PHOTO_ID ...
    some-queue | python examples/worker.py            # ids on standard input, one per line

`detect` is a STAND-IN FOR A MODEL: it never opens the picture, and makes up a result that follows from the
photo's id and size alone. Replace it; everything around it is what a real worker needs:

- a deadline for every call;
- retries with exponential backoff and jitter when the server is away or full, never sooner than it asks for;
- a run id, so that a result that is sent twice is stored once: kill the worker at any time and run it again;
- on SIGTERM or SIGINT it finishes the photo in hand and says what is left;
- a credential that is refused, or has expired, ends it the same way, so that no id is used up by that.

Making the stubs (once, in the repository's root) is described in examples/README.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import os
import pathlib
import random
import signal
import sys
import threading
import time

STUBS = pathlib.Path(__file__).resolve().parent / "stubs"
sys.path.insert(0, str(STUBS))

try:
    import grpc
    from google.protobuf import duration_pb2
    from google.rpc import error_details_pb2
    from grpc_status import rpc_status
    from photometa.v1 import detection_service_pb2 as detections
    from photometa.v1 import detection_service_pb2_grpc as detections_grpc
    from photometa.v1 import photo_service_pb2 as photos
    from photometa.v1 import photo_service_pb2_grpc as photos_grpc
    from photometa.v1 import write_outcome_pb2 as outcomes
except ImportError as missing:
    sys.exit(f"worker: {missing}; see examples/README.md for the two commands that install and make what is missing")

# After a deadline the write may or may not have happened: with a run id, asking again is safe.
PASSING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED}
# Every other photo would be refused as well.
DENIED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0


# --- the model -------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Finding:
    """One object: a label, a confidence from 0 to 1, and a box in pixels of the stored image (or none)."""

    label: str
    confidence: float
    box: tuple[float, float, float, float] | None


def detect(photo: photos.Photo) -> list[Finding]:
    """Stands in for a model: a plausible result that is the same each time. Put yours here."""
    chance = random.Random(hashlib.sha256(photo.id.encode()).digest())
    found = []
    for label in chance.choices(["crack", "water_stain", "missing_shingle", "rust", "dent"], k=chance.randint(0, 3)):
        box = None
        if photo.width and photo.height:
            wide, high = (side * chance.uniform(0.05, 0.4) for side in (photo.width, photo.height))
            box = (chance.uniform(0, photo.width - wide), chance.uniform(0, photo.height - high), wide, high)
        found.append(Finding(label, round(chance.uniform(0.35, 0.99), 3), box))
    return found


# --- the worker ------------------------------------------------------------------------------------------------


class Stopped(Exception):
    """Somebody asked the worker to stop."""


class Worker:
    def __init__(self, options: argparse.Namespace, token: str):
        self.options = options
        self.metadata = (("authorization", f"Bearer {token}"),)
        # The channel reconnects by itself; ours is the decision how often to try.
        channel = grpc.insecure_channel(
            options.address,
            options=[("grpc.enable_retries", 0), ("grpc.keepalive_time_ms", 60_000), ("grpc.max_reconnect_backoff_ms", 5_000)],
        )
        self.photos = photos_grpc.PhotoServiceStub(channel)
        self.detections = detections_grpc.DetectionServiceStub(channel)
        self.stop = threading.Event()
        self.idle = False
        self.counts = {"created": 0, "already there": 0, "failed": 0}

    def on_signal(self, *_):
        self.stop.set()
        if self.idle:
            raise Stopped

    def ids(self):
        """The ids to work on; waiting for the next one ends at a signal."""
        # Unbuffered: what nobody has worked on is still in standard input for the next worker.
        source = iter(self.options.photo_ids or (line.decode() for line in open(0, "rb", buffering=0)))
        while not self.stop.is_set():
            self.idle = not self.options.photo_ids
            try:
                line = next(source, None)
            finally:
                self.idle = False
            if line is None:
                return
            if line.strip():
                yield line.strip()

    def run(self) -> int:
        done, denied, in_hand = 0, None, []
        try:
            for photo_id in self.ids():
                try:
                    print(f"{photo_id} {self.work(photo_id)}", flush=True)
                except grpc.RpcError as error:
                    if error.code() in DENIED:
                        denied, in_hand = told(error), [photo_id]
                        break
                    self.counts["failed"] += 1
                    print(f"{photo_id} failed: {told(error)}", flush=True)
                done += 1
        except Stopped:
            pass
        ending = ""
        if denied or self.stop.is_set():
            for photo_id in self.options.photo_ids[done:] or in_hand:
                print(f"{photo_id} left")
            ending = f"; stopped: {denied}" if denied else "; stopped by a signal"
            if not self.options.photo_ids:
                ending += "; standard input not read to its end"
        counts = ", ".join(f"{count} {what}" for what, count in self.counts.items())
        print(f"{done} photos: {counts}{ending}", flush=True)
        return 1 if denied or self.counts["failed"] else 0

    def work(self, photo_id: str) -> str:
        request = photos.GetPhotoRequest(id=photo_id, view=photos.PHOTO_VIEW_WITH_EXIF)
        photo = self.call(self.photos.GetPhoto, request).photo
        started = time.monotonic()
        found = detect(photo)
        detection = self.detection(photo, found, time.monotonic() - started)
        try:
            answer = self.call(self.detections.CreateDetection, detections.CreateDetectionRequest(detection=detection))
            created = answer.outcome == outcomes.WRITE_OUTCOME_CREATED
        except grpc.RpcError as error:
            # This run has a result already, from a worker that was killed before it could say so. Only the
            # measured time differs, so there is nothing to add.
            if reason(error) != "DETECTION_ALREADY_EXISTS":
                raise
            created = False
        what = "created" if created else "already there"
        self.counts[what] += 1
        return f"{what}: {', '.join(f'{one.label} {one.confidence}' for one in found) or 'nothing found'}"

    def detection(self, photo: photos.Photo, found: list[Finding], seconds: float) -> detections.Detection:
        objects = []
        for number, one in enumerate(found, 1):
            item = detections.DetectedObject(object_id=str(number), label=one.label, confidence=one.confidence)
            if one.box:
                item.pixel_box.x, item.pixel_box.y, item.pixel_box.width, item.pixel_box.height = one.box
            objects.append(item)
        took = duration_pb2.Duration()
        took.FromNanoseconds(max(1, int(seconds * 1e9)))
        return detections.Detection(
            photo_id=photo.id,
            detection_type=detections.DetectionType.Value(f"DETECTION_TYPE_{self.options.detection_type.upper()}"),
            model_version=self.options.model_version,
            run_id=self.options.run_id,
            results=detections.DetectionResults(objects=objects),
            processing_time=took,
        )

    def call(self, rpc, request):
        """Calls with a deadline; tries again while that may help, at most `--attempts` times."""
        for attempt in range(1, self.options.attempts + 1):
            try:
                return rpc(request, timeout=self.options.deadline, metadata=self.metadata)
            except grpc.RpcError as error:
                # The reason, because ABORTED is STALE_ETAG as well, which asks for a new decision.
                passes = error.code() in PASSING or reason(error) == "CONCURRENT_CHANGE"
                if not passes or attempt == self.options.attempts or self.stop.is_set():
                    raise
                backoff = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1)) * random.uniform(0.5, 1)
                self.stop.wait(retry_delay(error) + backoff)


def details(error: grpc.RpcError, kind):
    """The typed details of an error that are of one kind."""
    status = rpc_status.from_call(error)
    for packed in status.details if status else ():
        found = kind()
        if packed.Unpack(found):
            yield found


def retry_delay(error: grpc.RpcError) -> float:
    """The seconds the server asks to wait before the next attempt."""
    return max((info.retry_delay.ToTimedelta().total_seconds() for info in details(error, error_details_pb2.RetryInfo)), default=0)


def reason(error: grpc.RpcError) -> str | None:
    """The reason of an error: programs decide by it, and not by the message."""
    return next((info.reason for info in details(error, error_details_pb2.ErrorInfo)), None)


def told(error: grpc.RpcError) -> str:
    return f"{error.details()} ({reason(error) or error.code().name})"


def main() -> int:
    parser = argparse.ArgumentParser(description="Looks at photos and stores what it sees (with a stand-in for a model).")
    parser.add_argument("photo_ids", nargs="*", metavar="PHOTO_ID", help="photos to look at [default: ids on standard input, one per line]")
    parser.add_argument("--address", default=os.environ.get("PHOTOMETA_ADDRESS", "127.0.0.1:50051"), help="the server [PHOTOMETA_ADDRESS; %(default)s]")
    parser.add_argument("--detection-type", choices=["damage", "material", "volume"], default="damage", help="what the model looks for [%(default)s]")
    parser.add_argument("--model-version", default="stand-in-1.0.0", help="model and version [%(default)s]")
    parser.add_argument("--run-id", default="first", help="one result per photo, model version and run id is stored; name another run to look again [%(default)s]")
    parser.add_argument("--deadline", type=float, default=10, help="seconds that one attempt of a call may take [%(default)s]")
    parser.add_argument("--attempts", type=int, default=8, help="attempts per call [%(default)s]")
    options = parser.parse_args()
    token = os.environ.get("PHOTOMETA_TOKEN", "").strip()
    if not token:
        parser.error("PHOTOMETA_TOKEN is not set; see `photometa token --role service --org UUID`")
    worker = Worker(options, token)
    signal.signal(signal.SIGTERM, worker.on_signal)
    signal.signal(signal.SIGINT, worker.on_signal)
    return worker.run()


if __name__ == "__main__":
    sys.exit(main())
