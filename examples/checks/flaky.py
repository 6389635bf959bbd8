#!/usr/bin/env python3
"""Runs a command whose PHOTOMETA_ADDRESS is that of a server in trouble, with the real one behind it.

    PYTHONPATH=examples/stubs python flaky.py COMMAND ...

Nobody listens for two seconds. Then the first calls of each RPC are refused, and the real server answers the others.
The exit status is the command's, or 3 when it has not called often enough to be refused all that.
"""

import os
import socket
import subprocess
import sys
import time
from concurrent import futures

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from photometa.v1 import photo_service_pb2 as photos

WAIT = 1  # Seconds that are asked for by RetryInfo.


def status(code: grpc.StatusCode, reason: str, *more) -> status_pb2.Status:
    made = status_pb2.Status(code=code.value[0], message="made up by flaky.py")
    for detail in (error_details_pb2.ErrorInfo(reason=reason, domain="photometa.v1"), *more):
        made.details.add().Pack(detail)
    return made


retry_info = error_details_pb2.RetryInfo()
retry_info.retry_delay.seconds = WAIT
CONCURRENT_CHANGE = status(grpc.StatusCode.ABORTED, "CONCURRENT_CHANGE")
OVERLOADED = status(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", retry_info)
DRAINING = status(grpc.StatusCode.UNAVAILABLE, "DRAINING")
# These do not pass by themselves.
STALE_ETAG = status(grpc.StatusCode.ABORTED, "STALE_ETAG")
TAKEN = status(grpc.StatusCode.ALREADY_EXISTS, "PHOTO_ALREADY_EXISTS")
TOO_SOON = status(grpc.StatusCode.FAILED_PRECONDITION, "SOONER_THAN_ASKED")

# What the first calls of an RPC are told; None is the real server's answer.
TOLD = {
    "BatchCreatePhotos": [CONCURRENT_CHANGE, None, None, OVERLOADED, None, DRAINING],
    "CreateDetection": [CONCURRENT_CHANGE, OVERLOADED, None, STALE_ETAG, TAKEN],
    "CreateFeedback": [CONCURRENT_CHANGE, OVERLOADED, None, STALE_ETAG],
}
TOLD_OTHERWISE = [CONCURRENT_CHANGE, OVERLOADED]
# What the first items of a batch are told, when it is answered for the first time.
TOLD_ITEMS = [CONCURRENT_CHANGE, STALE_ETAG]


class Flaky(grpc.GenericRpcHandler):
    def __init__(self, real: grpc.Channel):
        self.real = real
        self.left = {}  # By method, what its next calls are told.
        self.batched = False
        self.not_before = {}  # By method, when it may be called again.

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self.answer(details.method, request, context))

    def answer(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        rpc = method.rsplit("/", 1)[1]
        if time.monotonic() < self.not_before.get(method, 0):
            context.abort_with_status(rpc_status.to_status(TOO_SOON))
        left = self.left.setdefault(method, list(TOLD.get(rpc, TOLD_OTHERWISE)))
        told = left.pop(0) if left else None
        if told is OVERLOADED:
            self.not_before[method] = time.monotonic() + WAIT
        if told:
            context.abort_with_status(rpc_status.to_status(told))
        credential = [item for item in context.invocation_metadata() if item[0] == "authorization"]
        answer = self.real.unary_unary(method)(request, metadata=credential, timeout=30)
        if rpc == "BatchCreatePhotos" and not self.batched:
            self.batched = True
            changed = photos.BatchCreatePhotosResponse.FromString(answer)
            for result, told in zip(changed.results, TOLD_ITEMS):
                result.CopyFrom(photos.BatchCreatePhotosResult(status=told))
            answer = changed.SerializeToString()
        return answer


def main() -> int:
    # A port that is bound is nobody else's, and refuses for as long as nobody listens. gRPC binds it a second time.
    port = socket.socket()
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    port.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{port.getsockname()[1]}"
    flaky = Flaky(grpc.insecure_channel(os.environ["PHOTOMETA_ADDRESS"]))
    command = subprocess.Popen(sys.argv[1:], env={**os.environ, "PHOTOMETA_ADDRESS": address})
    time.sleep(2)
    server = grpc.server(futures.ThreadPoolExecutor(), handlers=[flaky])
    server.add_insecure_port(address)
    server.start()
    ended = command.wait()
    server.stop(None)
    left = [method for method, told in flaky.left.items() if told]
    if left or not flaky.left:
        print(f"flaky.py: it gave up before it was told everything: {', '.join(left) or 'it never called'}", file=sys.stderr)
        return 3
    return ended


if __name__ == "__main__":
    sys.exit(main())
