/** Processing of one frame. The result depends only on this and the previous frames. */

import { CROP, NOT_PERMITTED } from "./constants.js";
import type { FaceDetector } from "./detector.js";
import { FaceFinder } from "./finder.js";
import { whyUnread } from "./legibility.js";
import { FacingFilter, headPose } from "./pose.js";
import { cropSidePx, similarityFromLandmarks, warpFace } from "./preprocess.js";
import { type Detection, type FaceReading, type Frame, type FrameResult, facesScreen, labelIndex } from "./records.js";
import { Smoother } from "./smoother.js";
import { Tracker } from "./tracker.js";

/** Returns seven probabilities for each of `count` crops, given as `count` times 48x48 grey levels. */
export type ReadFaces = (crops: Uint8Array, count: number) => Promise<Float32Array>;

/** A model that reads expressions, and the confidence below which its predictions are shown as uncertain. */
export interface ExpressionReader {
  readonly read: ReadFaces;
  /** By class, 0 to 1. */
  readonly uncertainBelow: Readonly<Record<string, number>>;
}

const CROP_BYTES = CROP.size * CROP.size;

/** Detects, aligns, checks, reads, tracks and smooths faces. State is kept per track. */
export class Pipeline {
  private readonly finder: FaceFinder;
  private readonly tracker: Tracker;
  private readonly smoother: Smoother;
  private readonly facing = new FacingFilter();
  private wasRead = new Set<string>();
  private step_s = 0;

  /**
   * @param reader Reads all faces of a frame at once; null if expressions may not be read.
   * @param random Returns random integers below its argument, for track names.
   * @param tau_s Time constant of the smoothing in seconds; 0 for none.
   */
  constructor(
    detector: FaceDetector,
    private readonly reader: ExpressionReader | null,
    random: (below: number) => number,
    tau_s?: number,
  ) {
    this.finder = new FaceFinder(detector);
    this.tracker = new Tracker(random);
    this.smoother = new Smoother(tau_s);
  }

  /** Return the faces of a frame; frames must be in chronological order. */
  async update(frame: Frame): Promise<FrameResult> {
    const detections = await this.finder.update(frame.t_s, frame.picture);
    if (frame.is_new_scene) this.tracker.forget();
    const names = this.tracker.update(frame.t_s, detections, frame.picture, this.step_s);
    this.step_s = frame.interval_s;
    this.smoother.forgetAllBut(this.tracker.active);
    const crops = new Uint8Array(detections.length * CROP_BYTES);
    let legible = 0;
    const judged = detections.map((detection, k) => {
      const crop = crops.subarray(legible * CROP_BYTES, (legible + 1) * CROP_BYTES);
      const transform = similarityFromLandmarks(detection.landmarks);
      warpFace(frame.picture, transform, crop);
      const pose = headPose(detection.landmarks);
      const unread = whyUnread(crop, cropSidePx(transform), pose, this.wasRead.has(names[k]!));
      return { name: names[k]!, detection, pose, unread, row: unread ? -1 : legible++ };
    });
    const rows =
      this.reader === null || legible === 0 ? null : await this.reader.read(crops.subarray(0, legible * CROP_BYTES), legible);
    const faces = judged.map(({ name, detection, pose, unread, row }): FaceReading => {
      const found = unseen(name, detection, pose, unread || (this.reader === null ? NOT_PERMITTED : ""));
      if (rows === null || this.reader === null || row < 0) return found;
      const raw = Array.from(rows.subarray(7 * row, 7 * row + 7));
      const { smoothed, label } = this.smoother.update(name, frame.t_s, raw);
      const confidence = smoothed[labelIndex(label)]!;
      return { ...found, raw, smoothed, label, confidence, uncertain: confidence < this.reader.uncertainBelow[label]! };
    });
    this.wasRead = new Set(faces.filter((face) => !face.unread).map((face) => face.track_id));
    return {
      index: frame.index,
      t_s: frame.t_s,
      interval_s: frame.interval_s,
      width: frame.picture.width,
      height: frame.picture.height,
      faces: this.facing.update(frame.t_s, faces),
    };
  }
}

/** Return a face that was not read. */
function unseen(track_id: string, detection: Detection, pose: FaceReading["pose"], unread: string): FaceReading {
  const { box, score, landmarks } = detection;
  const facing = pose === null ? null : facesScreen(pose);
  return { track_id, box, score, landmarks, raw: [], smoothed: [], label: "", confidence: 0, uncertain: false, pose, unread, facing };
}
