// A review client: takes detections from the queue so that nobody else is given them, answers each, and lists the answers.
//
//   export PHOTOMETA_TOKEN=$(photometa token --role org_admin --org UUID --sub UUID)
//   npm install && npm run stubs && npm run build && npm run review -- 3
//
// `judge` is a STAND-IN FOR A PERSON. Around it is what a real client needs: a deadline for every call, retries that wait
// as long as the server asks, ids that make a repetition safe, etags, and pages.

import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type CallOptions, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema, RetryInfoSchema } from "./stubs/google/rpc/error_details_pb";
import { DetectionService, ReviewStrategy, Verdict, type Detection } from "./stubs/photometa/v1/detection_service_pb";
import { FeedbackSchema, FeedbackService, type Feedback } from "./stubs/photometa/v1/feedback_service_pb";

const ATTEMPTS = 8;
const DEADLINE_MS = 10_000;

const token = process.env["PHOTOMETA_TOKEN"];
if (!token) throw new Error("PHOTOMETA_TOKEN is not set; see `photometa token`");

const credential: Interceptor = (next) => (request) => {
  request.header.set("authorization", `Bearer ${token}`);
  return next(request);
};
const transport = createGrpcTransport({
  baseUrl: `http://${process.env["PHOTOMETA_ADDRESS"] ?? "127.0.0.1:50051"}`,
  interceptors: [credential],
});
const detections = createClient(DetectionService, transport);
const feedback = createClient(FeedbackService, transport);

/** Calls with a deadline for each attempt, and again while that may help: the request has to be safe to repeat. */
async function call<T>(rpc: (options: CallOptions) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await rpc({ timeoutMs: DEADLINE_MS });
    } catch (cause) {
      const error = ConnectError.from(cause);
      if (!passes(error) || attempt === ATTEMPTS) throw error;
      const asked = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
      const least = asked ? Number(asked.seconds) * 1000 + asked.nanos / 1e6 : 0;
      await pause(least + 200 * 2 ** (attempt - 1) * (0.5 + Math.random() / 2));
    }
  }
}

/** Whether the same call may succeed a little later. */
function passes(error: ConnectError): boolean {
  // The other reason for it, STALE_ETAG, asks for a new decision.
  if (error.code === Code.Aborted) return reason(error) === "CONCURRENT_CHANGE";
  return [Code.Unavailable, Code.ResourceExhausted, Code.DeadlineExceeded].includes(error.code);
}

/** The reason of an error: programs decide by it, and not by the message. */
function reason(error: unknown): string | undefined {
  return ConnectError.from(error).findDetails(ErrorInfoSchema)[0]?.reason;
}

/** Stands in for a person: takes away what the model is not sure of, and confirms the rest. */
function judge(detection: Detection): MessageInitShape<typeof FeedbackSchema> {
  const unsure = detection.results?.objects.filter((object) => (object.confidence ?? 1) < 0.6) ?? [];
  if (unsure.length === 0) return { verdict: Verdict.CONFIRM };
  return {
    verdict: Verdict.CORRECT,
    comment: "not sure enough",
    edits: unsure.map(({ objectId }) => ({ edit: { case: "remove", value: { objectId } } })),
  };
}

/** All answers of one photo, page by page. */
async function* answers(photoId: string): AsyncGenerator<Feedback> {
  let pageToken = "";
  do {
    const page = await call((options) => feedback.listFeedback({ photoId, pageSize: 100, pageToken }, options));
    yield* page.feedback;
    pageToken = page.nextPageToken;
  } while (pageToken);
}

async function main(): Promise<void> {
  const count = Number(process.argv[2] ?? "3");
  const strategy = ReviewStrategy.LEAST_CONFIDENT_FIRST;
  const claimed = await call((options) =>
    detections.claimPendingDetections({ count, strategy, duration: { seconds: 900n } }, options),
  );
  const photos = new Set<string>();
  let reviewed = 0;
  for (const detection of claimed.detections) {
    // Made once: however often the call is sent, there is one answer.
    const answer = create(FeedbackSchema, { ...judge(detection), id: randomUUID(), detectionId: detection.id });
    try {
      const { detection: after } = await call((options) =>
        feedback.createFeedback({ feedback: answer, detectionEtag: detection.etag }, options),
      );
      const objects = (after?.correctedResults ?? after?.results)?.objects.length ?? 0;
      console.log(`${detection.id} ${Verdict[answer.verdict]}: ${objects} of ${detection.results?.objects.length ?? 0} objects`);
      photos.add(detection.photoId);
      reviewed++;
    } catch (error) {
      // Somebody has answered meanwhile, or it is gone. The others are still ours.
      if (reason(error) !== "STALE_ETAG" && reason(error) !== "DETECTION_NOT_FOUND") throw error;
      console.log(`${detection.id} was changed meanwhile`);
    }
  }
  let listed = 0;
  for (const photo of photos) for await (const _ of answers(photo)) listed++;
  console.log(`${reviewed} reviewed; ${listed} answers on their photos`);
}

main().catch((error: unknown) => {
  const told = ConnectError.from(error);
  console.error(`review: ${told.message} (${reason(error) ?? "no reason"})`);
  process.exitCode = 1;
});
