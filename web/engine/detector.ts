/** Face detection with any network: search of whole pictures and of windows around known faces. */

import { DETECTOR } from "./constants.js";
import { BLUE, type Channel, GREEN, RED, type Region, channelOf, greyChannel, resize, roundEven, toGrey, wholeOf } from "./picture.js";
import { type Box, type Detection, type Picture, iou } from "./records.js";

/** Outputs of a network by name. */
export type Outputs = Readonly<Record<string, Float32Array>>;

/**
 * A network's input: levels 0 to 255, stored channel by channel.
 *
 * Colour networks take blue, green and red as (1, 3, height, width) floats, others grey as (height, width, 1) bytes.
 */
export interface NetworkInput {
  readonly data: Float32Array | Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Runs the detector's network. */
export type RunDetector = (input: NetworkInput) => Promise<Outputs>;

/** Input format of a network and decoding of its outputs. */
export interface Decoder {
  /** Whether the input is grey; otherwise blue, green and red. */
  readonly isGrey: boolean;
  /** Width and height of the input are multiples of this. */
  readonly multiple: number;
  /** Names of the outputs that `decode` needs. */
  readonly outputs: readonly string[];
  readonly limits: {
    /** Maximum longer side in pixels to which pictures are scaled down. */
    readonly max_side: number;
    /** Detections below this score are dropped. */
    readonly min_score: number;
    /** The same for faces that were found in the previous frame. */
    readonly known_score: number;
  };
  /** Return the faces in an input, in pixels of that input, without overlaps. */
  decode(outputs: Outputs, input: NetworkInput, minScore: number): Detection[];
  /**
   * Combine the detections of a picture at full and at half size, both in the picture's pixels.
   *
   * Networks without this read a whole picture once.
   */
  readonly agreed?: { readonly least_score: number; join(fine: readonly Detection[], half: readonly Detection[]): Detection[] };
}

/** Interface of a detector for the finder. */
export interface FaceDetector {
  /** Return the faces in a picture, from left to right. */
  detect(picture: Picture): Promise<Detection[]>;
  /** Return the large (near) faces of a picture; takes a third of the time of `detect`. */
  detectCoarsely(picture: Picture): Promise<Detection[]>;
  /** Return the faces around each of `boxes`, searched in small windows. */
  detectNear(picture: Picture, boxes: readonly Box[]): Promise<Detection[][]>;
}

/** A detector network on whole pictures and on windows. */
export class NetworkDetector implements FaceDetector {
  private readonly buffers = new Map<number, Float32Array | Uint8Array>();

  constructor(
    private readonly run: RunDetector,
    private readonly decoder: Decoder,
  ) {}

  /** If a face is small, the picture is also searched at a larger size. */
  async detect(picture: Picture): Promise<Detection[]> {
    const { max_side } = this.decoder.limits;
    const found = await this.search(picture, max_side);
    const scale = max_side / Math.max(picture.width, picture.height);
    if (scale >= 1 || found.every(({ box }) => box.w * scale >= DETECTOR.small_face)) return found;
    const larger = await this.search(picture, DETECTOR.larger_side);
    const added = found.filter(({ box }) => larger.every((other) => iou(box, other.box) < DETECTOR.same_iou));
    return fromLeft([...larger, ...added]);
  }

  detectCoarsely(picture: Picture): Promise<Detection[]> {
    return this.search(picture, DETECTOR.coarse_side);
  }

  async detectNear(picture: Picture, boxes: readonly Box[]): Promise<Detection[][]> {
    if (boxes.length === 0) return [];
    const side = DETECTOR.window;
    const input = this.input(side * boxes.length, side);
    const windows = boxes.map((box, k) => this.placeWindow(input, k * side, picture, box));
    const { min_score, known_score } = this.decoder.limits;
    const found: Detection[][] = boxes.map(() => []);
    for (const detection of await this.read(input, Math.min(min_score, known_score))) {
      const middle = detection.box.x + detection.box.w / 2;
      const number = Math.min(Math.max(Math.floor(middle / side), 0), boxes.length - 1);
      const { left, top, zoom } = windows[number]!;
      found[number]!.push(moved(detection, left / zoom - number * side, top / zoom, zoom));
    }
    return found;
  }

  private async search(picture: Picture, maxSide: number): Promise<Detection[]> {
    const { agreed, limits, isGrey } = this.decoder;
    const [width, height, scale] = shrunkSize(picture, maxSide);
    const input = this.input(width, height);
    this.place(input, 0, 0, width, height, picture, wholeOf(picture), "area");
    if (agreed === undefined || !isGrey) {
      const found = await this.read(input, limits.min_score);
      return fromLeft(found.map((detection) => moved(detection, 0, 0, 1 / scale)));
    }
    const fine = await this.read(input, agreed.least_score);
    const grey = { data: input.data as Uint8Array, width: input.width, height: input.height };
    const small = { width, height };
    const [halfWidth, halfHeight, half] = shrunkSize(small, Math.max(1, Math.trunc(Math.max(width, height) / 2)));
    const coarseInput = this.input(halfWidth, halfHeight);
    resize({ data: coarseInput.data, start: 0, stride: coarseInput.width }, halfWidth, halfHeight, greyChannel(grey), wholeOf(small), "area");
    const coarse = (await this.read(coarseInput, agreed.least_score)).map((detection) => moved(detection, 0, 0, 1 / half));
    const found = agreed.join(fine, coarse).filter((face) => face.score >= limits.min_score);
    return fromLeft(found.map((detection) => moved(detection, 0, 0, 1 / scale)));
  }

  private async read(input: NetworkInput, minScore: number): Promise<Detection[]> {
    return this.decoder.decode(await this.run(input), input, minScore).filter(canBeAligned);
  }

  /** Return a black input of at least this size; its memory is reused if the size is the same as before. */
  private input(atLeastWidth: number, atLeastHeight: number): NetworkInput {
    const { multiple, isGrey } = this.decoder;
    const [width, height] = [atLeastWidth, atLeastHeight].map((side) => Math.ceil(side / multiple) * multiple) as [number, number];
    const length = (isGrey ? 1 : 3) * width * height;
    let data = this.buffers.get(length);
    if (data === undefined) {
      if (this.buffers.size > 12) this.buffers.clear();
      data = isGrey ? new Uint8Array(length) : new Float32Array(length);
      this.buffers.set(length, data);
    }
    data.fill(0);
    return { data, width, height };
  }

  /** Copy a region of a picture, resized to `width` by `height`, into an input at (left, top). */
  private place(
    input: NetworkInput,
    left: number,
    top: number,
    width: number,
    height: number,
    picture: Picture,
    region: Region,
    mode: "area" | "linear",
  ): void {
    const start = top * input.width + left;
    const to = (channel: number) => ({ data: input.data, start: start + channel * input.width * input.height, stride: input.width });
    if (this.decoder.isGrey) {
      const grey = toGrey(picture, region);
      resize(to(0), width, height, greyChannel(grey), wholeOf(grey), mode);
      return;
    }
    const channels: Channel[] = [BLUE, GREEN, RED].map((colour) => channelOf(picture, colour));
    channels.forEach((channel, k) => resize(to(k), width, height, channel, region, mode));
  }

  /** Copy the window around a face into an input at `at`; return its left and top, and picture pixels per window pixel. */
  private placeWindow(input: NetworkInput, at: number, picture: Picture, box: Box): { left: number; top: number; zoom: number } {
    const window = DETECTOR.window;
    const { around, sizes_per_octave, places_per_side } = DETECTOR;
    const octaves = Math.log2(Math.max((around * Math.max(box.w, box.h)) / window, 1));
    const side = roundEven(window * 2 ** (roundEven(sizes_per_octave * octaves) / sizes_per_octave));
    const cell = side / places_per_side;
    const left = roundEven(roundEven((box.x + box.w / 2 - side / 2) / cell) * cell);
    const top = roundEven(roundEven((box.y + box.h / 2 - side / 2) / cell) * cell);
    const region: Region = {
      x0: Math.max(left, 0),
      y0: Math.max(top, 0),
      x1: Math.min(left + side, picture.width),
      y1: Math.min(top + side, picture.height),
    };
    const zoom = side / window;
    if (region.x1 > region.x0 && region.y1 > region.y0) {
      const a = roundEven((region.x0 - left) / zoom);
      const b = roundEven((region.y0 - top) / zoom);
      const c = roundEven((region.x1 - left) / zoom);
      const d = roundEven((region.y1 - top) / zoom);
      if (c > a && d > b) this.place(input, at + a, b, c - a, d - b, picture, region, "linear");
    }
    return { left, top, zoom };
  }
}

/** Return width and height scaled down to at most `maxSide`, and the scale, at most 1. */
function shrunkSize(picture: { readonly width: number; readonly height: number }, maxSide: number): [number, number, number] {
  const scale = Math.min(1, maxSide / Math.max(picture.width, picture.height));
  return [Math.max(1, roundEven(picture.width * scale)), Math.max(1, roundEven(picture.height * scale)), scale];
}

function fromLeft(found: Detection[]): Detection[] {
  return found.sort((a, b) => a.box.x - b.box.x);
}

/** Return a detection moved by (dx, dy) and then scaled by `zoom` about the origin. */
function moved(detection: Detection, dx: number, dy: number, zoom: number): Detection {
  const { x, y, w, h } = detection.box;
  return {
    box: { x: (x + dx) * zoom, y: (y + dy) * zoom, w: w * zoom, h: h * zoom },
    score: detection.score,
    landmarks: detection.landmarks.map((value, k) => (value + (k % 2 === 0 ? dx : dy)) * zoom),
  };
}

/** Return whether a detection is finite and its landmarks do not coincide. */
function canBeAligned({ box, landmarks }: Detection): boolean {
  if (![box.x, box.y, ...landmarks].every(Number.isFinite) || !(box.w > 0 && box.h > 0)) return false;
  const spread = (first: number): number => {
    const values = landmarks.filter((_, k) => k % 2 === first);
    return Math.max(...values) - Math.min(...values);
  };
  return Math.max(spread(0), spread(1)) >= 1;
}
