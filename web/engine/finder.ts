/** Face detection in video that searches the whole frame only when needed. */

import { CutDetector } from "./appearance.js";
import { FINDER } from "./constants.js";
import type { FaceDetector } from "./detector.js";
import { GREEN, channelOf, thumbnail } from "./picture.js";
import { type Box, type Detection, type Picture, boxRegion, iou } from "./records.js";

/** A face of the previous frame and its displacement since the frame before that. */
interface Followed {
  readonly detection: Detection;
  readonly dx: number;
  readonly dy: number;
}

/**
 * Finds the faces of each frame, using those of the previous one. Known faces are detected again in small windows; if
 * none has moved, even that is skipped for up to 0.1 s. The whole frame is searched twice a second at half the size,
 * thoroughly every two seconds, and thoroughly at once when a face is lost or after a cut.
 */
export class FaceFinder {
  private faces: Followed[] = [];
  private thumbs: Uint8Array[] = [];
  private searched_s = -Infinity;
  private searchedThoroughly_s = -Infinity;
  private looked_s = -Infinity;
  private width = 0;
  private height = 0;
  private readonly cuts = new CutDetector();

  constructor(private readonly detector: FaceDetector) {}

  /** Return the faces of a frame at `t_s` seconds, from left to right. */
  async update(t_s: number, picture: Picture): Promise<Detection[]> {
    const isCut = this.cuts.update(picture);
    const sameSize = picture.width === this.width && picture.height === this.height;
    if (isCut || !sameSize || this.faces.length > FINDER.max_followed || t_s < this.searchedThoroughly_s) {
      this.faces = [];
      this.thumbs = [];
      this.searchedThoroughly_s = -Infinity;
    }
    const patience = this.faces.length > 0 ? 1 : FINDER.patience;
    const searchDue = t_s - this.searched_s >= FINDER.search_s / patience;
    if (this.faces.length > 0 && !searchDue && t_s - this.looked_s < FINDER.still_s && this.isStill(picture)) {
      return this.faces.map((face) => face.detection);
    }
    const known = await this.lookNear(picture);
    let seen: Detection[] = [];
    if (known.length < this.faces.length || t_s - this.searchedThoroughly_s >= FINDER.thorough_s / patience) {
      seen = await this.detector.detect(picture);
      this.searched_s = this.searchedThoroughly_s = t_s;
    } else if (searchDue) {
      seen = await this.detector.detectCoarsely(picture);
      this.searched_s = t_s;
    }
    const added = seen.filter((face) => known.every((other) => iou(face.box, other.box) < FINDER.min_iou));
    const found = [...known, ...added].sort((a, b) => a.box.x - b.box.x);
    this.faces = found.map((detection) => this.followed(detection));
    this.width = picture.width;
    this.height = picture.height;
    this.looked_s = t_s;
    this.thumbs = found.map((detection) => thumbOf(picture, detection.box));
    return found;
  }

  /** Return whether no face has changed since it was last detected. */
  private isStill(picture: Picture): boolean {
    return this.faces.every((face, k) => {
      const before = this.thumbs[k]!;
      const now = thumbOf(picture, face.detection.box);
      let gap = 0;
      for (let at = 0; at < now.length; at++) gap += Math.abs(now[at]! - before[at]!);
      return gap / now.length < FINDER.still_levels;
    });
  }

  /** Return the known faces, detected again in their windows, without lost faces and duplicates. */
  private async lookNear(picture: Picture): Promise<Detection[]> {
    const expected = this.faces.map(({ detection: { box }, dx, dy }) => ({ x: box.x + dx, y: box.y + dy, w: box.w, h: box.h }));
    const seen = await this.detector.detectNear(picture, expected);
    const found: Detection[] = [];
    expected.forEach((box, k) => {
      const best = bestMatch(seen[k]!, box, (detection) => detection.box);
      if (best === undefined || iou(best.box, box) < FINDER.min_iou) return;
      if (found.every((other) => iou(best.box, other.box) <= FINDER.same_face_iou)) found.push(best);
    });
    return found;
  }

  /** Return a face with its displacement since the previous frame; 0 for a new face. */
  private followed(detection: Detection): Followed {
    const before = bestMatch(this.faces, detection.box, (face) => face.detection.box);
    if (before === undefined || iou(before.detection.box, detection.box) < FINDER.min_iou) {
      return { detection, dx: 0, dy: 0 };
    }
    const [old, now] = [before.detection.box, detection.box];
    return { detection, dx: now.x + now.w / 2 - old.x - old.w / 2, dy: now.y + now.h / 2 - old.y - old.h / 2 };
  }
}

/** Return the candidate with the highest overlap with `box`; the first one on a tie. */
function bestMatch<T>(candidates: readonly T[], box: Box, boxOf: (candidate: T) => Box): T | undefined {
  let best: T | undefined;
  let most = -1;
  for (const candidate of candidates) {
    const overlap = iou(boxOf(candidate), box);
    if (overlap > most) {
      best = candidate;
      most = overlap;
    }
  }
  return best;
}

function thumbOf(picture: Picture, box: Box): Uint8Array {
  return thumbnail(channelOf(picture, GREEN), boxRegion(picture, box), FINDER.thumb);
}
