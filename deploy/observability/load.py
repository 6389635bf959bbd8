#!/usr/bin/env python3
"""Makes calls of many kinds for some seconds: answers, refusals, errors, streams. `check.sh` runs it; it says what it got.

    python load.py STUBS SECONDS ADDRESS        with PHOTOMETA_TOKEN, an administrator's
"""

import collections
import itertools
import os
import random
import sys
import threading
import time

sys.path.insert(0, sys.argv[1])

import grpc
from photometa.v1 import detection_service_pb2 as detections
from photometa.v1 import detection_service_pb2_grpc as detections_grpc
from photometa.v1 import photo_service_pb2 as photos
from photometa.v1 import photo_service_pb2_grpc as photos_grpc
from photometa.v1 import project_service_pb2 as projects
from photometa.v1 import project_service_pb2_grpc as projects_grpc

END = time.monotonic() + float(sys.argv[2])
METADATA = (("authorization", "Bearer " + os.environ["PHOTOMETA_TOKEN"]),)
# A few people who look and write all the time, and a crowd that comes now and then.
PEOPLE, CROWD = 4, 48


class Client:
    """One connection, and what came of its calls."""

    def __init__(self):
        channel = grpc.insecure_channel(sys.argv[3], options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)])
        self.photos = photos_grpc.PhotoServiceStub(channel)
        self.detections = detections_grpc.DetectionServiceStub(channel)
        self.projects = projects_grpc.ProjectServiceStub(channel)
        self.outcomes = collections.Counter()

    def call(self, rpc, request, timeout=10.0):
        try:
            answer = rpc(request, timeout=timeout, metadata=METADATA)
            self.outcomes["OK"] += 1
            return answer
        except grpc.RpcError as error:
            self.outcomes[error.code().name] += 1
            return None


def photo(project_id, name):
    return photos.Photo(project_id=project_id, s3_key=f"load/{name}.jpg", s3_url=f"https://example.com/load/{name}.jpg", width=4032, height=3024)


def detection(photo_id, run):
    seen = detections.DetectedObject(object_id="1", label="crack", confidence=0.8)
    return detections.Detection(
        photo_id=photo_id,
        detection_type=detections.DETECTION_TYPE_DAMAGE,
        model_version="load-1",
        run_id=run,
        results=detections.DetectionResults(objects=[seen]),
    )


def stats():
    """Of the last day, by the hour."""
    request = detections.GetDetectionStatsRequest(bucket=detections.STATS_BUCKET_HOUR)
    request.time.start.FromSeconds(int(time.time()) - 86_400)
    request.time.end.FromSeconds(int(time.time()))
    return request


def person(client, number, project_id, known):
    for turn in itertools.count():
        if time.monotonic() > END:
            return
        created = client.call(client.photos.CreatePhoto, photos.CreatePhotoRequest(photo=photo(project_id, f"{number}/{turn}")))
        if created:
            client.call(client.photos.GetPhoto, photos.GetPhotoRequest(id=created.photo.id))
        client.call(client.photos.ListPhotos, photos.ListPhotosRequest(page_size=random.choice([5, 50])))
        client.call(client.detections.ListDetections, detections.ListDetectionsRequest(page_size=20))
        client.call(client.detections.CreateDetection, detections.CreateDetectionRequest(detection=detection(random.choice(known), f"{number}/{turn}")))
        if turn % 10 == 0:
            client.call(client.photos.GetPhoto, photos.GetPhotoRequest(id="no id"))
            client.call(client.detections.GetDetectionStats, stats(), timeout=0.002)


def crowd(client, number, project_id, known):
    while time.monotonic() < END:
        # All at the same moment, so that they are too many.
        time.sleep(3 - time.time() % 3)
        for turn in range(8):
            client.call(client.detections.GetDetectionStats, stats(), timeout=2)
            client.call(client.photos.ListPhotos, photos.ListPhotosRequest(page_size=200), timeout=2)


def stream(client, number, project_id, known):
    turns = itertools.count()

    def items():
        for turn in turns:
            if time.monotonic() > END:
                return
            # Each tenth is there already, and each fifteenth is of a photo that is not.
            run = "again" if turn % 10 == 0 else f"stream/{number}/{turn}"
            where = "00000000-0000-4000-8000-000000000000" if turn % 15 == 0 else known[turn % len(known)]
            item = detections.IngestDetectionsItem(sequence=turn + 1, detection=detection(where, run))
            yield detections.IngestDetectionsRequest(items=[item])
            time.sleep(0.01)

    while time.monotonic() < END:
        try:
            for answer in client.detections.IngestDetections(items(), metadata=METADATA):
                client.outcomes["acknowledged"] += len(answer.acks)
        except grpc.RpcError as error:
            # The crowd has taken every place.
            client.outcomes[error.code().name] += 1
            time.sleep(0.1)


def main():
    first = Client()
    project = first.call(first.projects.ListProjects, projects.ListProjectsRequest(page_size=1)).projects[0].id
    known = first.call(first.photos.BatchCreatePhotos, photos.BatchCreatePhotosRequest(photos=[photo(project, f"known/{n}") for n in range(100)]))
    known = [result.photo.id for result in known.results]
    work = [person] * PEOPLE + [crowd] * CROWD + [stream] * 2
    clients = [Client() for _ in work]
    threads = [threading.Thread(target=act, args=(client, n, project, known)) for n, (act, client) in enumerate(zip(work, clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(dict(sum((client.outcomes for client in clients), first.outcomes)))


main()
