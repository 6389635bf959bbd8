"""One trace from a client through the RPC to the database.

Runs a collector (the services of OTLP over gRPC), photometa with a private PostgreSQL, and a client that tells
with its metadata which span it is in. Both send their spans to the collector; what it got is looked at.
"""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "stubs"))

import grpc
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from photometa.v1 import photo_service_pb2 as photos, photo_service_pb2_grpc as photos_grpc

PATIENCE = 60
PROJECT = "de300301-0000-8000-8000-000000000001"


class Collector(trace_service_pb2_grpc.TraceServiceServicer, metrics_service_pb2_grpc.MetricsServiceServicer):
    """Keeps the spans it is sent, each with its service's name, and the names of metrics."""

    def __init__(self):
        self.spans, self.metrics = [], set()

    def serve(self):
        """Starts, and answers the server and its address."""
        server = grpc.server(ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, server)
        # Its service has the same method, Export; so it is another object.
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(self.metrics), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        return server, f"http://127.0.0.1:{port}"

    def Export(self, request, context):
        for sent in request.resource_spans:
            resource = {attribute.key: attribute.value.string_value for attribute in sent.resource.attributes}
            for scope in sent.scope_spans:
                self.spans += [(resource["service.name"], span) for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, names):
        self.names = names

    def Export(self, request, context):
        for sent in request.resource_metrics:
            self.names.update(metric.name for scope in sent.scope_metrics for metric in scope.metrics)
        return metrics_service_pb2.ExportMetricsServiceResponse()


def until(what, look):
    """Waits until something is there, and answers it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.05)
    sys.exit(f"no {what} within {PATIENCE} s")


def serve(program, folder, endpoint):
    """Starts photometa, and answers it, its address, and an administrator's credential."""
    env = dict(os.environ, PHOTOMETA_DATA_DIR=str(folder / "data"), OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    env.update(OTEL_BSP_SCHEDULE_DELAY="100", OTEL_METRIC_EXPORT_INTERVAL="500")
    address, welcome = folder / "address", folder / "welcome"
    arguments = [program, "serve", "--listen", "127.0.0.1:0", "--address-file", address]
    with open(welcome, "w") as out, open(folder / "log", "w") as log:
        server = subprocess.Popen(arguments, env=env, stdout=out, stderr=log)
    until("server", lambda: address.exists() or server.poll() is not None)
    if server.poll() is not None:
        sys.exit((folder / "log").read_text())
    token = until("credential", lambda: re.search(r"PHOTOMETA_TOKEN=(\S+)", welcome.read_text()))
    return server, address.read_text(), token[1]


def call(address, token, tracer_provider):
    """Creates a photo as a traced client does."""
    channel, tracer = grpc.insecure_channel(address), tracer_provider.get_tracer("check")
    photo = photos.Photo(project_id=PROJECT, s3_key="traced.jpg", s3_url="https://example.com/traced.jpg")
    name = "photometa.v1.PhotoService/CreatePhoto"
    with tracer.start_as_current_span("upload"), tracer.start_as_current_span(name, kind=trace.SpanKind.CLIENT):
        metadata = {"authorization": f"Bearer {token}"}
        # Adds traceparent, which names the span.
        propagate.inject(metadata)
        photos_grpc.PhotoServiceStub(channel).CreatePhoto(
            photos.CreatePhotoRequest(photo=photo), metadata=tuple(metadata.items()), timeout=30
        )


def main():
    program, folder = sys.argv[1], Path(sys.argv[2])
    collector = Collector()
    receiving, endpoint = collector.serve()
    provider = TracerProvider(resource=Resource.create({"service.name": "uploader"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=True)))
    server, address, token = serve(program, folder, endpoint)
    try:
        call(address, token, provider)

        def spans(kind, service):
            return [span for name, span in list(collector.spans) if (name, span.kind) == (service, kind)]

        [upload] = until("span of the client's", lambda: spans(Span.SPAN_KIND_INTERNAL, "uploader"))
        [client] = until("client span", lambda: spans(Span.SPAN_KIND_CLIENT, "uploader"))
        [rpc] = until("server span", lambda: [span for span in spans(Span.SPAN_KIND_SERVER, "photometa")
                                               if span.name.endswith("/CreatePhoto") and span.parent_span_id == client.span_id])
        flights = until("span of the database's", lambda: [span for span in spans(Span.SPAN_KIND_CLIENT, "photometa")
                                                            if span.parent_span_id == rpc.span_id])
        assert client.parent_span_id == upload.span_id
        assert {span.trace_id for span in [upload, client, rpc, *flights]} == {upload.trace_id}
        until("metrics", lambda: "rpc.server.call.duration" in collector.metrics)
        for span in [upload, client, rpc, *flights]:
            print(f"  {span.trace_id.hex()} {span.parent_span_id.hex() or '-' * 16} {span.span_id.hex()} {span.name}")
        print("OK: one trace, from the client to the database")
    finally:
        server.terminate()
        server.wait()
        receiving.stop(None)


main()
