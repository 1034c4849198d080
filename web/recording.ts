/** Frames of recordings and pictures that are opened in or dropped onto a page. */

import { LONGEST_INTERVAL_S, PICTURES } from "./engine/constants.js";
import type { WaitingFrame } from "./messages.js";

/** A frame of a file. */
export interface RecordedFrame extends WaitingFrame {
  readonly image: ImageBitmap;
  /** Progress, 0 to 1. */
  readonly progress: number;
}

const PICTURE = /\.(jpe?g|png|bmp|webp|tiff?|avif|gif)$/i;

/** Yield the frames of files: one recording, or pictures sorted by name. The receiver must close each image. */
export async function* recordedFrames(files: readonly File[]): AsyncGenerator<RecordedFrame, void, undefined> {
  const pictures = files.filter((file) => file.type.startsWith("image/") || PICTURE.test(file.name));
  const others = files.filter((file) => !pictures.includes(file));
  if (pictures.length > 0 && others.length > 0) throw new Error("Drop pictures or one recording, not both at once.");
  if (others.length > 1) throw new Error("Drop one recording at a time.");
  if (others.length === 1) yield* recording(others[0]!);
  else if (pictures.length > 0) yield* stills(pictures);
  else throw new Error("No file was dropped.");
}

async function* stills(files: readonly File[]): AsyncGenerator<RecordedFrame, void, undefined> {
  const sorted = [...files].sort((a, b) => (a.name < b.name ? -1 : 1));
  let unreadable = 0;
  for (const [index, file] of sorted.entries()) {
    const image = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
    if (image === null) {
      unreadable++;
      continue;
    }
    const still_s = PICTURES.still_s;
    const place = { index, t_s: index * still_s, interval_s: still_s, is_new_scene: true };
    yield { ...place, image, progress: (index + 1) / sorted.length };
  }
  if (unreadable === sorted.length) throw new Error(`${sorted[0]!.name} is not a picture that this browser can show.`);
}

/** Yield every frame of a video file with its presentation time. Mediabunny parses the file; the browser decodes it. */
async function* recording(file: File): AsyncGenerator<RecordedFrame, void, undefined> {
  const { ALL_FORMATS, BlobSource, Input, VideoSampleSink } = await import("mediabunny");
  const input = new Input({ source: new BlobSource(file), formats: ALL_FORMATS });
  const track = await input.getPrimaryVideoTrack().catch(() => null);
  if (track === null) throw new Error(`${file.name} contains no readable video. Try MP4, MOV, WebM or MKV.`);
  if (!(await track.canDecode())) {
    throw new Error(`This browser cannot decode ${file.name} (${track.codec ?? "unknown codec"}). Convert it to H.264 or VP9.`);
  }
  const length_s = Math.max(await track.computeDuration(), 1e-3);
  let held: Omit<RecordedFrame, "interval_s"> | null = null;
  let step_s = 1 / 25;
  let gap_s = 0;
  try {
    for await (const sample of new VideoSampleSink(track).samples()) {
      if (sample.timestamp + sample.duration / 2 < 0) {
        sample.close(); // removed by the file's edit list, so players do not show it either
        continue;
      }
      // a frame lasts until the next one, so it is held back until that one's time is known; decreasing times are corrected
      const t_s: number = Math.max(sample.timestamp, held === null ? 0 : held.t_s + 1e-3);
      if (sample.duration > 0) step_s = sample.duration;
      const canvas = new OffscreenCanvas(sample.displayWidth, sample.displayHeight);
      sample.draw(canvas.getContext("2d", { alpha: false })!, 0, 0);
      sample.close();
      const longest_s = Math.max(LONGEST_INTERVAL_S, 2 * step_s);
      if (held !== null) {
        gap_s = t_s - held.t_s;
        yield { ...held, interval_s: Math.min(gap_s, longest_s) };
      }
      const image = canvas.transferToImageBitmap();
      const index: number = held === null ? 0 : held.index + 1;
      held = { index, t_s, is_new_scene: false, image, progress: Math.min(1, t_s / length_s) };
    }
    if (held === null) throw new Error(`${file.name} contains no decodable frame.`);
    // the last frame lasts as long as the one before it, or the usual step after a gap
    const isGap = gap_s <= 0 || gap_s > Math.max(LONGEST_INTERVAL_S, 2 * step_s);
    yield { ...held, interval_s: isGap ? step_s : gap_s, progress: 1 };
    held = null;
  } finally {
    held?.image.close();
    input.dispose();
  }
}
