/** Head pose from five landmarks, and whether a head faces the screen. */

import { LONGEST_INTERVAL_S, POSE } from "./constants.js";
import { type FaceReading, type HeadPose, type Landmarks, facesScreen } from "./records.js";

type Vector = readonly [number, number, number];

/** The pseudo-inverse (5, 3) of the rigid head model, from landmarks to the affine camera. */
const FIT = POSE.fit as unknown as readonly Vector[];

const DEGREES = 180 / Math.PI;

/**
 * Return the head pose, or null if landmarks coincide: the rotation nearest to the least-squares affine camera (POS,
 * DeMenthon and Davis 1995).
 */
export function headPose(landmarks: Landmarks): HeadPose | null {
  let mx = 0;
  let my = 0;
  for (let k = 0; k < 5; k++) {
    mx += landmarks[2 * k]! / 5;
    my += landmarks[2 * k + 1]! / 5;
  }
  const c: number[] = [0, 0, 0];
  const d: number[] = [0, 0, 0];
  for (let k = 0; k < 5; k++) {
    for (let axis = 0; axis < 3; axis++) {
      c[axis] = c[axis]! + (landmarks[2 * k]! - mx) * FIT[k]![axis]!;
      d[axis] = d[axis]! + (landmarks[2 * k + 1]! - my) * FIT[k]![axis]!;
    }
  }
  const rotation = nearestRows(c as unknown as Vector, d as unknown as Vector);
  if (rotation === null) return null;
  const [across, down] = rotation;
  const towards = cross(across, down);
  const yaw = Math.atan2(across[2], towards[2]);
  const pitch = Math.asin(Math.max(-1, Math.min(1, -down[2])));
  // the rotation that remains after yaw and pitch are undone is the roll
  const [sy, cy, sp, cp] = [Math.sin(yaw), Math.cos(yaw), Math.sin(pitch), Math.cos(pitch)];
  const undone = (column: number): [number, number] => {
    const [x, y, z] = [across[column]!, down[column]!, towards[column]!];
    return [cy * x - sy * z, sy * sp * x + cp * y + cy * sp * z];
  };
  const [x, y] = undone(0);
  return { yaw_deg: yaw * DEGREES, pitch_deg: pitch * DEGREES, roll_deg: Math.atan2(y, x) * DEGREES };
}

/** Return the two orthonormal rows nearest to (c, d), the polar factor of a (2, 3) matrix; null if its rank is below 2. */
function nearestRows(c: Vector, d: Vector): [Vector, Vector] | null {
  // A Aᵀ = [[p, q], [q, r]]; its inverse square root gives the polar factor
  const p = dot(c, c);
  const q = dot(c, d);
  const r = dot(d, d);
  if (!Number.isFinite(p + q + r)) return null;
  const root = Math.sqrt(Math.max(0, p * r - q * q));
  const largest = Math.sqrt(Math.max(0, (p + r) / 2 + Math.sqrt(((p - r) / 2) ** 2 + q * q)));
  if (largest < 1e-6 || root / largest < 1e-3 * Math.max(largest, 1e-9)) return null;
  const t = Math.sqrt(p + r + 2 * root);
  // (A Aᵀ)^(-1/2) = adj(A Aᵀ + root I) / (t root)
  const scale = 1 / (t * root);
  const row = (u: number, v: number): Vector => [
    scale * (u * c[0] + v * d[0]),
    scale * (u * c[1] + v * d[1]),
    scale * (u * c[2] + v * d[2]),
  ];
  return [row(r + root, -q), row(-q, p + root)];
}

function dot(a: Vector, b: Vector): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

function cross(a: Vector, b: Vector): Vector {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

/** Decides with hysteresis whether each face in a stream faces the screen. */
export class FacingFilter {
  private readonly facing = new Map<string, { facing: boolean; t_s: number }>();

  update(t_s: number, faces: readonly FaceReading[]): FaceReading[] {
    for (const [name, last] of this.facing) if (t_s - last.t_s > LONGEST_INTERVAL_S) this.facing.delete(name);
    return faces.map((face) => {
      if (face.pose === null) return face;
      const wasFacing = this.facing.get(face.track_id)?.facing ?? true;
      const facing = facesScreen(face.pose, wasFacing ? 1 : POSE.back);
      this.facing.set(face.track_id, { facing, t_s });
      return { ...face, facing };
    });
  }
}
