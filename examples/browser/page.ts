// A page that calls photometa by gRPC-Web, and writes what it is told into a list. The server must know the page's origin:
//
//   photometa serve --cors-allow-origin http://localhost:8000
//   npm install && npm run stubs && npm run build && python3 -m http.server 8000
//   http://localhost:8000/#address=http://127.0.0.1:50051&token=…
//
// A real page gets its credential from a login, and not from its address. When the server is away or full for a moment, this
// one says so and leaves it there; retries are in ../typescript/review.ts.

import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { BadRequestSchema, ErrorInfoSchema } from "./stubs/google/rpc/error_details_pb";
import { FeedbackService, TrainingDataFormat } from "./stubs/photometa/v1/feedback_service_pb";
import { PhotoService } from "./stubs/photometa/v1/photo_service_pb";
import { SessionService } from "./stubs/photometa/v1/session_service_pb";

const settings = new URLSearchParams(location.hash.slice(1));
const credential: Interceptor = (next) => (request) => {
  request.header.set("authorization", `Bearer ${settings.get("token") ?? ""}`);
  return next(request);
};
const transport = createGrpcWebTransport({
  baseUrl: settings.get("address") ?? "http://127.0.0.1:50051",
  interceptors: [credential],
  defaultTimeoutMs: 10_000,
});
const session = createClient(SessionService, transport);
const photos = createClient(PhotoService, transport);
const feedback = createClient(FeedbackService, transport);

function say(text: string): void {
  const item = document.createElement("li");
  item.textContent = text;
  document.getElementById("said")?.append(item);
}

async function whoAmI(): Promise<void> {
  let requestId: string | null = null;
  const who = await session.whoAmI({}, { onHeader: (headers) => (requestId = headers.get("x-request-id")) });
  say(`I am ${who.role} of ${who.organizationId}; the request has an id: ${requestId !== null}`);
}

async function list(): Promise<void> {
  const { photos: page, nextPageToken } = await photos.listPhotos({ pageSize: 5, orderBy: "capture_time" });
  say(`${page.length} photos, and ${nextPageToken ? "there are more" : "no more"}; the first one is ${page[0]?.s3Key}`);
}

/** A write, whose position in the database's log makes later reads show it, from a replica too. */
async function write(): Promise<void> {
  let position = "";
  const projectId = "de300301-0000-8000-8000-000000000001";
  const photo = { projectId, s3Key: `browser/${crypto.randomUUID()}.jpg`, s3Url: "https://example.com/1.jpg" };
  const { photo: stored } = await photos.createPhoto(
    { photo },
    { onHeader: (headers) => (position = headers.get("x-photometa-lsn") ?? "") },
  );
  const again = await photos.getPhoto({ id: stored?.id ?? "" }, { headers: { "x-photometa-lsn": position } });
  say(`written at a position: ${/^[0-9A-F]+\/[0-9A-F]+$/.test(position)}; read again: ${again.photo?.s3Key === photo.s3Key}`);
}

/** A call that is refused, with what is wrong. */
async function refused(): Promise<void> {
  try {
    await photos.createPhoto({ photo: { s3Key: "x.jpg", width: -1 } });
    say("a bad photo was taken");
  } catch (cause) {
    const error = ConnectError.from(cause);
    const fields = error.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations.map(({ field }) => field));
    say(`${Code[error.code]} ${error.findDetails(ErrorInfoSchema)[0]?.reason}: ${fields.join(", ")}`);
  }
}

/** A stream of the server. */
async function exported(): Promise<void> {
  let bytes = 0;
  let images = 0n;
  for await (const part of feedback.exportTrainingData({ format: TrainingDataFormat.COCO, includeUnreviewed: true })) {
    bytes += part.chunk.length;
    images = part.progress?.images ?? images;
  }
  say(`exported ${images} images; there were bytes: ${bytes > 0}`);
}

for (const step of [whoAmI, list, write, refused, exported]) {
  try {
    await step();
  } catch (cause) {
    const error = ConnectError.from(cause);
    say(`${step.name} failed: ${error.message} (${error.findDetails(ErrorInfoSchema)[0]?.reason ?? "no reason"})`);
  }
}
document.title = "done";
