/** `<mien-learner>`: a custom element for other pages. */

import { percent, words } from "./engine/records.js";
import { COLOURS, MienCamera, type MienOptions, type Reading, nearest } from "./sdk.js";

const STYLE = `
  :host { display: block; position: relative; max-width: 40rem; font: 1rem/1.4 system-ui, sans-serif; color: CanvasText; }
  .stage { position: relative; background: #0a0d11; border-radius: 0.75rem; overflow: hidden; aspect-ratio: 4 / 3; }
  video, canvas { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }
  video { transform: scaleX(-1); }
  .row { display: flex; align-items: center; gap: 0.75rem; margin-top: 0.5rem; }
  button { font: inherit; padding: 0.45rem 1rem; border-radius: 0.5rem; border: 1px solid GrayText; background: Canvas; color: CanvasText; cursor: pointer; }
  output { flex: 1; font-weight: 600; }
  small { color: GrayText; }
`;

/**
 * Shows the camera's picture, face boxes and the expression of the nearest face, with a button to start and stop.
 *
 * Set `options` before starting; without them the element says that its networks are missing. It also dispatches the events of its `MienCamera` (`reading`, `state`, `end`).
 */
export class MienLearner extends HTMLElement {
  /** Options of the camera. */
  options: MienOptions | null = null;
  /** The camera; null before the first start. */
  camera: MienCamera | null = null;
  private readonly canvas = document.createElement("canvas");
  private readonly button = document.createElement("button");
  private readonly output = document.createElement("output");

  /** Create the element's content. */
  connectedCallback(): void {
    if (this.shadowRoot !== null) return;
    const root = this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    const [stage, row, note] = [document.createElement("div"), document.createElement("div"), document.createElement("small")];
    stage.className = "stage";
    stage.append(this.canvas);
    row.className = "row";
    this.button.type = "button";
    this.button.textContent = "Start camera";
    this.button.addEventListener("click", () => void this.toggle());
    this.output.setAttribute("aria-live", "off");
    note.textContent = "Read on this device. Expression, not feeling.";
    row.append(this.button, this.output);
    root.append(stage, row, note);
  }

  /** Release the camera with the element. */
  disconnectedCallback(): void {
    this.camera?.close();
    this.camera = null;
  }

  /** Start or stop the camera. */
  async toggle(): Promise<void> {
    if (this.options === null) {
      this.output.textContent = "This page is not set up: the networks are missing.";
      return;
    }
    const camera = (this.camera ??= this.open(this.options));
    if (camera.state.state === "stopped" || camera.state.camera === "failed") await camera.start();
    else camera.stop();
  }

  private open(options: MienOptions): MienCamera {
    const camera = new MienCamera(options);
    this.shadowRoot!.querySelector(".stage")!.prepend(camera.video);
    camera.on("state", (change) => {
      const isRunning = change.state !== "stopped" && change.state !== "failed" && change.camera !== "failed";
      this.button.disabled = change.state === "failed";
      this.button.textContent = isRunning ? "Stop" : "Start camera";
      if (change.state !== "reading") this.output.textContent = change.sentence || (isRunning ? change.state : "");
      if (!isRunning) this.canvas.getContext("2d")!.clearRect(0, 0, this.canvas.width, this.canvas.height);
    });
    camera.on("reading", (reading) => this.show(reading));
    for (const name of ["ready", "state", "reading", "begin", "end"] as const) {
      camera.on(name, (detail) => this.dispatchEvent(new CustomEvent(name, { detail })));
    }
    return camera;
  }

  private show({ result }: Reading): void {
    const { canvas } = this;
    if (canvas.width !== result.width || canvas.height !== result.height) {
      canvas.width = result.width;
      canvas.height = result.height;
    }
    const context = canvas.getContext("2d")!;
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.lineWidth = Math.max(2, canvas.width / 200);
    for (const face of result.faces) {
      const { x, y, w, h } = face.box;
      context.strokeStyle = COLOURS[face.label] ?? "#aab4c0";
      context.strokeRect(canvas.width - x - w, y, w, h); // the video is mirrored
    }
    const face = nearest(result);
    this.output.textContent = face === null ? "no face in view" : words(face);
    this.output.title = face === null || face.unread ? "" : `confidence ${percent(face.confidence)}`;
  }
}

/** Define `<mien-learner>`, unless it is already defined. */
export function defineMienLearner(): void {
  if (customElements.get("mien-learner") === undefined) customElements.define("mien-learner", MienLearner);
}
