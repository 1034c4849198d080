/** Records exchanged by the stages. Coordinates are frame pixels, x to the right and y down; times are seconds. */

import { EMOTIONS, FACING_PITCH_DEG, FACING_YAW_DEG } from "./constants.js";

/** A picture: `data` contains red, green, blue and alpha of each pixel, row by row. */
export interface Picture {
  readonly data: Uint8ClampedArray | Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** A picture of a source and its time. */
export interface Frame {
  /** Position in the source, from 0; dropped frames leave gaps. */
  readonly index: number;
  /** Presentation time of a recording, or seconds since a camera's session began. */
  readonly t_s: number;
  /** Duration that the frame represents, in seconds. */
  readonly interval_s: number;
  /** Whether it is unrelated to the previous frame, as with pictures of a folder. */
  readonly is_new_scene: boolean;
  readonly picture: Picture;
}

/** An axis-aligned rectangle; it may extend beyond the frame. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

/** Five points, x and y alternating: right eye, left eye, nose tip, right and left mouth corner. */
export type Landmarks = Float32Array;

/** A detected face. */
export interface Detection {
  readonly box: Box;
  /** The detector's confidence, 0 to 1. */
  readonly score: number;
  readonly landmarks: Landmarks;
}

/** Head pose in degrees; 0, 0, 0 looks straight into the camera. */
export interface HeadPose {
  readonly yaw_deg: number;
  readonly pitch_deg: number;
  readonly roll_deg: number;
}

/** One face in one frame. */
export interface FaceReading {
  /** A random name, valid within the session. */
  readonly track_id: string;
  readonly box: Box;
  readonly score: number;
  readonly landmarks: Landmarks;
  /** Seven probabilities of this frame; empty if the face was not read. */
  readonly raw: readonly number[];
  /** The same, smoothed over time. */
  readonly smoothed: readonly number[];
  /** The displayed class; "" if the face was not read. */
  readonly label: string;
  /** The smoothed probability of `label`; 0 if the face was not read. */
  readonly confidence: number;
  /** Whether the confidence is below the class's threshold. */
  readonly uncertain: boolean;
  readonly pose: HeadPose | null;
  /** Reason why the face was not read ("too small"), or "". */
  readonly unread: string;
  /** Whether the head points at the screen; null if unknown. */
  readonly facing: boolean | null;
}

/** All faces of one frame, from left to right. */
export interface FrameResult {
  readonly index: number;
  readonly t_s: number;
  readonly interval_s: number;
  readonly width: number;
  readonly height: number;
  readonly faces: readonly FaceReading[];
}

/** Return intersection over union of two boxes, 0 to 1. */
export function iou(a: Box, b: Box): number {
  const across = Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x);
  const down = Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y);
  if (across <= 0 || down <= 0) return 0;
  const shared = across * down;
  return shared / (a.w * a.h + b.w * b.h - shared);
}

/** Return the pixel region of a box clipped to a picture, at least one pixel. */
export function boxRegion(picture: Picture, box: Box): { x0: number; y0: number; x1: number; y1: number } {
  const x0 = Math.min(Math.max(Math.trunc(box.x), 0), picture.width - 1);
  const y0 = Math.min(Math.max(Math.trunc(box.y), 0), picture.height - 1);
  const x1 = Math.min(Math.max(Math.trunc(box.x + box.w), x0 + 1), picture.width);
  const y1 = Math.min(Math.max(Math.trunc(box.y + box.h), y0 + 1), picture.height);
  return { x0, y0, x1, y1 };
}

/** Return whether a head points at the screen, within `slack` times the limits. */
export function facesScreen(pose: HeadPose, slack = 1): boolean {
  return Math.abs(pose.yaw_deg) <= slack * FACING_YAW_DEG && Math.abs(pose.pitch_deg) <= slack * FACING_PITCH_DEG;
}

/** Return the reading as display text; uncertain ones have a question mark. */
export function words(face: FaceReading): string {
  if (face.unread) return `not read: ${face.unread}`;
  return `${face.label}${face.uncertain ? "?" : ""} ${percent(face.confidence)}`;
}

/** Format a share, 0 to 1, as a percentage such as "42%". */
export function percent(share: number): string {
  return Number.isNaN(share) ? "-" : `${Math.round(100 * share)}%`;
}

/** Return the index of a label in `EMOTIONS`. */
export function labelIndex(label: string): number {
  const at = EMOTIONS.indexOf(label);
  if (at < 0) throw new Error(`${label} is not one of the seven expressions`);
  return at;
}
