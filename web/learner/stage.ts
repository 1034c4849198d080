/** The picture with its overlay: boxes, labels with confidence, and reasons for unread faces. */

import { COLOURS, type FaceReading, type FrameResult, words } from "../sdk.js";
import { element } from "./elements.js";

const UNREAD = "#aab4c0";
const INK = "#0a0d11";

/** Draws faces over the picture. Mirroring affects only the drawing, never the coordinates. */
export class Stage {
  private readonly picture = element("picture");
  private readonly boxes = element<HTMLCanvasElement>("boxes");
  private readonly film = element<HTMLCanvasElement>("film");
  private result: FrameResult | null = null;
  private isMirrored = false;

  constructor(private readonly video: HTMLVideoElement) {
    this.picture.prepend(video);
    video.setAttribute("aria-hidden", "true");
    new ResizeObserver(() => this.draw()).observe(this.picture);
  }

  /** Show the camera, mirrored if it faces the user. */
  showCamera(): void {
    const track = (this.video.srcObject as MediaStream | null)?.getVideoTracks()[0];
    this.isMirrored = track?.getSettings().facingMode !== "environment";
    this.picture.classList.toggle("mirrored", this.isMirrored);
    document.body.dataset["source"] = "camera";
    setAspect(this.video.videoWidth, this.video.videoHeight);
    this.clear();
  }

  /** Show a frame of a recording. */
  showFrame(image: ImageBitmap): void {
    if (document.body.dataset["source"] !== "files") this.clear();
    document.body.dataset["source"] = "files";
    this.isMirrored = false;
    if (this.film.width !== image.width || this.film.height !== image.height) {
      this.film.width = image.width;
      this.film.height = image.height;
      setAspect(image.width, image.height);
    }
    this.film.getContext("2d", { alpha: false })!.drawImage(image, 0, 0);
  }

  showResult(result: FrameResult): void {
    this.result = result;
    this.draw();
  }

  clear(): void {
    this.result = null;
    this.draw();
  }

  /** Return the picture as a PNG with unrecognisably blurred faces; null if there is no picture. */
  async screenshot(): Promise<Blob | null> {
    const { result } = this;
    if (result === null) return null;
    const shot = new OffscreenCanvas(result.width, result.height);
    const context = shot.getContext("2d", { alpha: false })!;
    const source = document.body.dataset["source"] === "files" ? this.film : this.video;
    if (this.isMirrored) context.setTransform(-1, 0, 0, 1, result.width, 0);
    context.drawImage(source, 0, 0, result.width, result.height);
    const tiny = new OffscreenCanvas(8, 8);
    for (const { box } of result.faces) {
      // slightly larger than the box, since the face may have moved since it was read
      const [x, y, w, h] = [box.x - box.w / 5, box.y - box.h / 5, box.w * 1.4, box.h * 1.4];
      tiny.getContext("2d", { alpha: false })!.drawImage(shot, ...this.onShot(x, w, result.width), y, w, h, 0, 0, 8, 8);
      context.drawImage(tiny, x, y, w, h);
    }
    context.resetTransform();
    drawFaces(context, result, result.width, result.height, this.isMirrored, Math.max(1, result.width / 900));
    return shot.convertToBlob({ type: "image/png" });
  }

  /** Return the left edge of a box on a screenshot, whose pixels are already mirrored. */
  private onShot(x: number, w: number, width: number): [number] {
    return [this.isMirrored ? width - x - w : x];
  }

  private draw(): void {
    const { boxes, result } = this;
    const scale = devicePixelRatio;
    const [width, height] = [Math.round(this.picture.clientWidth * scale), Math.round(this.picture.clientHeight * scale)];
    if (boxes.width !== width || boxes.height !== height) {
      boxes.width = width;
      boxes.height = height;
    }
    const context = boxes.getContext("2d")!;
    context.clearRect(0, 0, width, height);
    if (result === null || width === 0) return;
    // the whole picture is shown, centred
    const zoom = Math.min(width / result.width, height / result.height);
    const [shownWidth, shownHeight] = [result.width * zoom, result.height * zoom];
    context.save();
    context.translate((width - shownWidth) / 2, (height - shownHeight) / 2);
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
    drawFaces(context, result, shownWidth, shownHeight, this.isMirrored, scale * rem);
    context.restore();
  }
}

/** Set the stage's aspect ratio to that of the picture, for narrow pages. */
function setAspect(width: number, height: number): void {
  if (width > 0 && height > 0) document.body.style.setProperty("--aspect", String(width / height));
}

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;
type Rectangle = readonly [x: number, y: number, w: number, h: number];

function drawFaces(context: Context, result: FrameResult, width: number, height: number, mirrored: boolean, scale: number): void {
  const zoom = width / result.width;
  const places = result.faces.map((face): Rectangle => {
    const x = mirrored ? result.width - face.box.x - face.box.w : face.box.x;
    return [x * zoom, face.box.y * zoom, face.box.w * zoom, face.box.h * zoom];
  });
  result.faces.forEach((face, k) => {
    const [x, y, w, h] = places[k]!;
    context.beginPath();
    context.roundRect(x, y, w, h, Math.min(12 * scale, w / 4));
    context.strokeStyle = "rgb(10 13 17 / 70%)"; // dark outline, for light colours on light backgrounds
    context.lineWidth = 5 * scale;
    context.stroke();
    context.strokeStyle = colourOf(face);
    context.lineWidth = 2.5 * scale;
    context.stroke();
  });
  const taken: Rectangle[] = [];
  result.faces.forEach((face, k) => drawLabel(context, face, places[k]!, width, height, scale, taken));
}

function drawLabel(
  context: Context,
  face: FaceReading,
  [x, y, w, h]: Rectangle,
  width: number,
  height: number,
  scale: number,
  taken: Rectangle[],
): void {
  const size = (w > 90 * scale ? 15 : w > 44 * scale ? 13 : 11) * scale;
  const text = w > 40 * scale ? words(face) : face.unread || face.label + (face.uncertain ? "?" : "");
  context.font = `600 ${size}px system-ui, sans-serif`;
  const chipWidth = context.measureText(text).width + 1.2 * size;
  const chipHeight = 1.7 * size;
  const gap = 4 * scale;
  const left = Math.min(Math.max(x, gap), Math.max(width - chipWidth - gap, gap));
  // above the box if possible, else inside it, else below
  let top = y;
  for (const place of [y - chipHeight - gap, y + gap, y + h + gap, y + h - chipHeight - gap]) {
    top = Math.min(Math.max(place, gap), Math.max(height - chipHeight - gap, gap));
    const free = taken.every(([tx, ty, tw, th]) => left >= tx + tw || tx >= left + chipWidth || top >= ty + th || ty >= top + chipHeight);
    if (free) break;
  }
  taken.push([left, top, chipWidth, chipHeight]);
  context.beginPath();
  context.roundRect(left, top, chipWidth, chipHeight, 0.45 * size);
  context.fillStyle = colourOf(face);
  context.fill();
  context.fillStyle = inkOn(colourOf(face));
  context.textBaseline = "middle";
  context.fillText(text, left + 0.6 * size, top + chipHeight / 2 + 0.05 * size);
}

function colourOf(face: FaceReading): string {
  return face.unread ? UNREAD : (COLOURS[face.label] ?? UNREAD);
}

/** Return black or white, whichever has more contrast with a colour. */
function inkOn(colour: string): string {
  const [red, green, blue] = [1, 3, 5].map((at) => (parseInt(colour.slice(at, at + 2), 16) / 255) ** 2.2) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? INK : "#ffffff";
}
