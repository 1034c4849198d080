/** The learner's page, which reads one person's camera on their own device. */

import { TREND } from "../engine/constants.js";
import { type EngineFiles, MienCamera, type Outcome, type Reading, type StateChange } from "../sdk.js";
import { Classroom, type Lesson, consent, openLesson } from "./classroom.js";
import { download, element, say } from "./elements.js";
import { Keeper, NOT_STORED } from "./keeper.js";
import { Panel } from "./panel.js";
import { Speaker } from "./speaker.js";
import { Stage } from "./stage.js";
import { SummaryDialog, saveRows, saveSummary } from "./summary_dialog.js";

/** Settings from the server. */
interface Settings {
  readonly detector: EngineFiles["detector"];
  readonly model: EngineFiles["model"];
  readonly smoothing_s: number;
  readonly rule: string;
  /** Notices to show before the start. */
  readonly notices: readonly string[];
  /** Folder in which sessions are stored; "" if they are not stored. */
  readonly keeps: string;
  /** Whether this is the page of a class. */
  readonly is_class?: boolean;
}

/** A joined class. */
interface Membership {
  readonly lesson: Lesson;
  /** Token of the link to join. */
  readonly token: string;
  readonly participant: string;
}

const TOAST_MS = 5000;
const ASK_AGAIN_MS = 4000;

class LearnerPage {
  private readonly camera: MienCamera;
  private readonly stage: Stage;
  private readonly panel = new Panel(TREND.window_s);
  private readonly speaker = new Speaker();
  private readonly summary = new SummaryDialog();
  private readonly keeper: Keeper | null;
  private readonly classroom: Classroom | null;
  private reading: Reading | null = null;
  private painting = false;
  private toastTimer: ReturnType<typeof setTimeout> | undefined;
  private askedToErase_ms = -Infinity;
  private erased = false;

  constructor(private readonly settings: Settings, membership: Membership | null) {
    const { detector, model, smoothing_s, rule } = settings;
    this.camera = new MienCamera({ base: new URL(".", import.meta.url), detector, model, smoothing_s, rule });
    this.stage = new Stage(this.camera.video);
    this.keeper =
      settings.keeps === ""
        ? null
        : new Keeper({
            notice: (text) => this.toast(text),
            withdrawn: () => this.camera.stop(),
          });
    this.classroom =
      membership === null
        ? null
        : new Classroom(membership.lesson, membership.token, membership.participant, (sentence) => {
            this.camera.stop();
            this.toast(sentence);
            element<HTMLButtonElement>("start").disabled = true;
          });
    this.listen();
    this.wireButtons();
    if (this.classroom === null) this.wireFiles();
    document.addEventListener("keydown", (event) => this.key(event));
  }

  private listen(): void {
    const { camera, keeper } = this;
    camera.on("state", (change) => this.became(change));
    camera.on("begin", ({ source }) => {
      this.erased = false;
      this.speaker.reset();
      keeper?.begin(source);
    });
    camera.on("reading", (reading) => {
      keeper?.add(reading.result, reading);
      this.classroom?.add(reading.result);
      this.reading = reading;
      this.speaker.hear(reading.result);
      this.paint();
    });
    camera.on("recorded", ({ image, progress }) => {
      this.stage.showFrame(image);
      element<HTMLProgressElement>("progress").value = progress;
    });
    camera.on("end", (outcome) => void this.ended(outcome));
    // rotating a phone changes the size of its pictures
    for (const name of ["loadedmetadata", "resize"]) camera.video.addEventListener(name, () => this.stage.showCamera());
  }

  /** Paint the latest reading on the next animation frame; hidden pages are not painted. */
  private paint(): void {
    if (this.painting) return;
    this.painting = true;
    requestAnimationFrame(() => {
      this.painting = false;
      if (this.reading === null) return;
      this.panel.show(this.reading);
      this.stage.showResult(this.reading.result);
    });
  }

  private became({ state, camera, sentence }: StateChange): void {
    const isRunning = state !== "stopped" && state !== "failed" && !(state === "trouble" && camera === "failed");
    const hasSession = this.camera.outcome() !== null;
    document.body.dataset["state"] = isRunning || hasSession ? state : "stopped";
    const words = { starting: "starting", reading: "reading on this device", paused: "paused", stopped: "stopped" } as const;
    say("status", state === "trouble" || state === "failed" ? sentence : words[state]);
    for (const id of ["stop", "pause", "export", "screenshot", "reset", "erase"]) {
      element<HTMLButtonElement>(id).disabled = !(isRunning || hasSession) || (id !== "stop" && !hasSession);
    }
    const isPaused = state === "paused";
    this.classroom?.pause(isPaused);
    element("pause").setAttribute("aria-pressed", String(isPaused));
    say("pause-text", isPaused ? "Resume" : "Pause");
    const files = document.body.dataset["source"] === "files";
    element("progress").hidden = !(files && hasSession);
    this.veil(isPaused ? "Paused: nothing is read" : state === "starting" ? "Starting" : state === "trouble" ? sentence : "");
    const before = state === "failed" || (state === "trouble" && !hasSession);
    if (before) showProblem(sentence);
    else if (state !== "stopped") element("problem").hidden = true;
    if (state === "failed") for (const id of ["start", "files"]) element<HTMLButtonElement>(id).disabled = true;
    if (sentence) this.speaker.now(sentence);
    else if (state !== "stopped") this.speaker.now(words[state as keyof typeof words] ?? "");
    if (state !== "reading") this.stage.clear();
    if (state === "stopped" || state === "failed") this.panel.clear();
    document.title = state === "reading" ? "Reading - Mien" : state === "paused" ? "Paused - Mien" : "Mien";
    if (state === "reading") void this.listDevices();
  }

  private veil(text: string): void {
    const veil = element("veil");
    veil.replaceChildren();
    if (text === "") return;
    const shown = document.createElement("span");
    shown.textContent = text;
    veil.append(shown);
  }

  private async ended(outcome: Outcome): Promise<void> {
    this.reading = null;
    const { keeper, erased } = this;
    const kept = (keeper !== null && !erased && (await keeper.end())) || NOT_STORED;
    if (erased || (outcome.summary["frames"] as number) === 0) return;
    this.summary.show(outcome, kept);
  }

  private async listDevices(): Promise<void> {
    const devices = await MienCamera.devices();
    const select = element<HTMLSelectElement>("device");
    select.replaceChildren(...devices.map(({ id, label }) => new Option(label, id, false, id === this.camera.deviceId)));
    element("device-field").hidden = devices.length < 2;
  }

  private wireButtons(): void {
    const { camera } = this;
    const click = (id: string, action: () => unknown): void => element(id).addEventListener("click", () => void action());
    click("start", () => camera.start());
    click("stop", () => camera.stop());
    click("pause", () => this.togglePause());
    click("export", () => this.export());
    click("screenshot", () => this.screenshot());
    click("reset", () => this.reset());
    click("erase", () => this.erase());
    click("help", () => element<HTMLDialogElement>("help-dialog").showModal());
    element<HTMLSelectElement>("device").addEventListener("change", (event) => {
      void camera.start((event.target as HTMLSelectElement).value);
    });
  }

  private wireFiles(): void {
    const input = element<HTMLInputElement>("file-input");
    element("files").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      const files = [...(input.files ?? [])];
      input.value = "";
      if (files.length > 0) void this.camera.read(files);
    });
    let depth = 0;
    const over = (change: number) => (event: DragEvent): void => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      depth = Math.max(0, depth + change);
      element("drop").hidden = depth === 0;
    };
    addEventListener("dragenter", over(1));
    addEventListener("dragleave", over(-1));
    addEventListener("dragover", over(0));
    addEventListener("drop", (event) => {
      event.preventDefault();
      depth = 0;
      element("drop").hidden = true;
      const files = [...(event.dataTransfer?.files ?? [])];
      if (files.length > 0) void this.camera.read(files);
    });
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (document.querySelector("dialog[open]") !== null) return;
    const target = event.target as HTMLElement;
    if (target.closest("select, textarea, input:not([type=checkbox])")) return;
    if (event.key === " " && target.closest("button, a, summary, input")) return; // activates the focused element
    const ids: Readonly<Record<string, string>> = { q: "stop", " ": "pause", e: "export", s: "screenshot", r: "reset", w: "erase", h: "help" };
    const id = ids[event.key.toLowerCase()];
    if (id === undefined) return;
    event.preventDefault();
    const button = element<HTMLButtonElement>(id);
    if (!button.disabled && !button.hidden) button.click();
  }

  private togglePause(): void {
    if (this.camera.state.state === "paused") this.camera.resume();
    else this.camera.pause();
  }

  private reset(): void {
    this.camera.reset();
    this.toast("The statistics on screen were reset; exports still contain everything.");
  }

  private export(): void {
    const outcome = this.camera.outcome();
    if (outcome === null) return;
    saveRows(outcome);
    saveSummary(outcome);
    this.toast("The readings so far were saved to your downloads.");
  }

  private async screenshot(): Promise<void> {
    const shot = await this.stage.screenshot();
    if (shot === null) {
      this.toast("There is no picture yet.");
      return;
    }
    download(`mien-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.png`, shot);
    this.toast("A screenshot with blurred faces was saved to your downloads.");
  }

  /** End the session and erase it, after a second press as confirmation. */
  private async erase(): Promise<void> {
    if (performance.now() - this.askedToErase_ms > ASK_AGAIN_MS) {
      this.askedToErase_ms = performance.now();
      this.toast("Press Erase again to end this session and erase its data.");
      return;
    }
    this.erased = true;
    this.camera.stop();
    this.toast((await this.keeper?.erase()) ?? "");
  }

  private toast(sentence: string): void {
    const toast = element("toast");
    toast.textContent = sentence;
    toast.hidden = false;
    this.speaker.now(sentence);
    clearTimeout(this.toastTimer);
    this.toastTimer = setTimeout(() => (toast.hidden = true), TOAST_MS);
  }

  /** Adapt the page's texts to what is permitted and stored. */
  describe(): void {
    const { model, keeps, notices } = this.settings;
    if (model === null) {
      document.body.classList.add("observables");
      say("welcome-title", "See what the camera can measure");
      say("what-read", "Whether a face is in view, and where the head points. No expressions.");
      say("fine-print", "Expressions are not read, because the declared deployment does not permit it.");
      document.querySelector(".lead")!.textContent = "Mien measures whether a face is in view and whether the head points at the screen.";
    }
    if (this.classroom !== null) {
      say("promise", "Read on this device. Only totals in seconds are sent to your class.");
      say("what-kept", "Nothing on this device. The class server deletes your messages after adding them up.");
      say("drop-hint", "No picture leaves this page.");
    }
    if (keeps !== "") {
      say("promise", "Read on this device. Numbers are stored on this computer.");
      say("what-kept", `Numbers, never pictures, in ${keeps} on this computer.`);
      for (const each of document.querySelectorAll<HTMLElement>("#erase, .when-kept")) each.hidden = false;
    }
    for (const notice of notices) {
      const line = document.createElement("p");
      line.className = "small";
      line.textContent = notice;
      element("welcome").append(line);
    }
  }
}

/** Show an error instead of the page, which cannot be used. */
function refuse(sentence: string): void {
  document.body.classList.add("unopened");
  showProblem(sentence);
}

/** Show an error on the page. */
function showProblem(sentence: string): void {
  say("problem", sentence);
  element("problem").hidden = false;
  element("problem").scrollIntoView({ block: "nearest" });
}

async function open(): Promise<void> {
  const answer = await fetch("settings.json", { credentials: "same-origin" }).catch(() => null);
  if (answer === null || !answer.ok) {
    refuse("The server does not answer. Reload this page when it is running again.");
    return;
  }
  const settings = (await answer.json()) as Settings;
  if (settings.is_class !== true) {
    new LearnerPage(settings, null).describe();
    return;
  }
  // a class gets readings of the camera only; dropped files must not be opened in place of the page either
  for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
  say("promise", "Read on this device. No picture leaves this page.");
  try {
    const { lesson, token } = await openLesson();
    const participant = await consent(lesson, token);
    new LearnerPage({ ...settings, model: lesson.model }, { lesson, token, participant }).describe();
  } catch (error) {
    refuse((error as Error).message);
  }
}

void open();
