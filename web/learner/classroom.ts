/** Taking part in a class: notice and consent, messages, signals and leaving. */

import type { FrameResult } from "../sdk.js";
import { element, say } from "./elements.js";
import { insist } from "./insist.js";
import { type Answer, Sender } from "./sender.js";
import type { EngineFiles } from "../sdk.js";

/** The server's description of a class for learners. */
export interface Lesson {
  readonly title: string;
  readonly state: "waiting" | "running" | "ended";
  readonly bin_s: number;
  readonly interval_s: number;
  readonly signals: readonly string[];
  readonly max_signals: number;
  readonly notice: { readonly text: string; readonly version: string; readonly hash: string };
  /** Whether this person already takes part from another window and has consented to this notice. */
  readonly agreed: boolean;
  readonly model: EngineFiles["model"];
}

const TICK_MS = 1000;
/** A page that sends nothing asks this often whether the lesson has started. */
const ASK_STATE_MS = 15_000;
const MESSAGE_TIMEOUT_MS = 10_000;
const OVER = "The lesson is over. Nothing is sent any more.";
const LEFT = "You have left this class. Nothing is sent any more. Reload this page to join again.";
/** Shown if the server has deleted the participant and cannot say why, because the link to join is no longer valid. */
const UNKNOWN = "The lesson is over, or you have left this class. Nothing is sent any more.";
const CONTINUED = "You are now taking part from another window. Nothing is sent from this one any more.";

/** Send a request to the server with a token. */
async function ask(method: string, path: string, token: string, more: RequestInit = {}): Promise<Response> {
  const headers: Record<string, string> = { Authorization: `Bearer ${token}` };
  if (more.body !== undefined) headers["Content-Type"] = "application/json";
  return fetch(path, { method, headers, ...more });
}

async function sentence(answer: Response): Promise<string> {
  const said = (await answer.json().catch(() => ({}))) as { error?: string };
  return said.error ?? `The server responded with status ${answer.status}.`;
}

/** Return the class of this page's link, and the token. */
export async function openLesson(): Promise<{ lesson: Lesson; token: string }> {
  const token = location.hash.slice(1);
  if (token === "") throw new Error("This address is incomplete. Open the link that your teacher gave you.");
  const answer = await ask("GET", "api/lesson", token).catch(() => null);
  if (answer === null) throw new Error("The class server does not answer. Reload this page to try again.");
  if (!answer.ok) throw new Error(await sentence(answer));
  return { lesson: (await answer.json()) as Lesson, token };
}

/** Join the class and return the participant's token. */
async function joined(lesson: Lesson, token: string): Promise<string> {
  const answer = await ask("POST", "api/participants", token, { body: JSON.stringify({ notice: lesson.notice.hash }) });
  if (!answer.ok) throw new Error(await sentence(answer));
  return ((await answer.json()) as { participant: string }).participant;
}

/** Show the notice; resolves with the participant's token when the user joins. */
export function consent(lesson: Lesson, token: string): Promise<string> {
  document.body.classList.add("asks");
  element("consent").hidden = false;
  say("consent-title", lesson.title);
  const text = element("notice");
  text.replaceChildren(
    ...lesson.notice.text.trim().split("\n").map((line) => {
      const paragraph = document.createElement("p");
      const [name, ...rest] = line.split(": ");
      const strong = document.createElement("strong");
      if (rest.length > 0 && name!.length < 30) {
        strong.textContent = `${name}: `;
        paragraph.append(strong, rest.join(": "));
      } else paragraph.textContent = line;
      return paragraph;
    }),
  );
  say("notice-version", `Version ${lesson.notice.version} of this notice. Your consent refers to it.`);
  const join = element<HTMLButtonElement>("join");
  if (lesson.agreed) {
    say("consent-lead", "You are already taking part from another window, where you agreed to this notice. If you continue here, that window stops sending.");
    join.textContent = "Continue here";
  }
  const problem = (text: string, isCalm = false): void => {
    element("consent-problem").hidden = text === "";
    element("consent-problem").classList.toggle("calm", isCalm);
    say("consent-problem", text);
  };
  if (lesson.state === "ended") {
    problem("This lesson is over.");
    join.disabled = true;
  }
  return new Promise((resolve) => {
    element("decline").addEventListener("click", () => {
      problem("You did not join, and nothing was sent. You may close this page, or join later.", true);
    });
    join.addEventListener("click", () => {
      join.disabled = true;
      problem("");
      joined(lesson, token)
        .then((participant) => {
          element("consent").hidden = true;
          document.body.classList.remove("asks");
          resolve(participant);
        })
        .catch((error: unknown) => {
          problem(error instanceof TypeError ? "The class server does not answer. Try again." : (error as Error).message);
          join.disabled = false;
        });
    });
  });
}

/** Show a message word for word; lines break after its commas. */
function sayMessage(id: string, text: string): void {
  const found = element(id);
  if (found.textContent === text) return;
  const parts = text.split(/(?<=,)/);
  found.replaceChildren(...parts.flatMap((part) => [part, document.createElement("wbr")]));
}

/** Return a sentence about messages that the server did not erase. */
async function notErased(answer: Response | null): Promise<string> {
  if (answer?.status === 410) return sentence(answer);
  const why = answer === null ? "The server does not answer." : await sentence(answer);
  return `You left, and nothing more is sent, but your messages of the current interval were not erased. ${why} At the end of the interval they are added up and deleted.`;
}

/** The panel of a participant. */
export class Classroom {
  private readonly sender: Sender;
  private readonly buttons: HTMLButtonElement[];
  private hasLeft = false;
  /** Whether the server still has to be told that this participant left. */
  private mustTell = true;
  private isPaused = false;
  private hasStarted: boolean;

  constructor(
    lesson: Lesson,
    private readonly token: string,
    private readonly participant: string,
    private readonly stopped: (sentence: string) => void,
  ) {
    const { interval_s, bin_s, max_signals, model } = lesson;
    this.sender = new Sender(
      { interval_s, bin_s, max_signals, expressions: model !== null },
      (body) => this.post(body),
      { changed: () => this.show(), ended: (status) => this.over(status) },
    );
    this.hasStarted = lesson.state === "running";
    element("classroom").hidden = false;
    document.body.classList.add("in-class");
    say("class-title", lesson.title);
    this.buttons = lesson.signals.map((name) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => {
        if (this.sender.pressedSignal === name) this.sender.takeBack();
        else this.sender.signal(name);
      });
      return button;
    });
    element("signals").replaceChildren(...this.buttons);
    element("leave").addEventListener("click", () => void this.leave());
    setInterval(() => {
      this.sender.tick(performance.now());
      this.show();
    }, TICK_MS);
    setInterval(() => void this.askState(), ASK_STATE_MS);
    addEventListener("pagehide", () => {
      if (this.mustTell) void ask("DELETE", "api/participants", participant, { keepalive: true }).catch(() => undefined);
    });
    this.show();
  }

  add(result: FrameResult): void {
    if (!this.isPaused) this.sender.add(result, performance.now());
  }

  /** Pause or resume; nothing is sent of a pause and of the time since the last message. */
  pause(isPaused: boolean): void {
    this.isPaused = isPaused;
    if (isPaused) this.sender.forget();
    this.show();
  }

  /** Find out whether the lesson has started; the answers to messages tell it as well. */
  private async askState(): Promise<void> {
    if (this.hasStarted || this.hasLeft || this.sender.state !== "idle") return;
    const answer = await ask("GET", "api/lesson", this.token).catch(() => null);
    if (!answer?.ok) return;
    this.hasStarted = ((await answer.json()) as Lesson).state !== "waiting";
    this.show();
  }

  private async post(body: string): Promise<Answer> {
    try {
      const answer = await ask("POST", "api/messages", this.participant, { body, signal: AbortSignal.timeout(MESSAGE_TIMEOUT_MS) });
      return { status: answer.status, sentence: answer.ok ? "" : await sentence(answer) };
    } catch {
      return { status: 0, sentence: "" };
    }
  }

  /** Stop the camera immediately, then ask the server to erase the messages. */
  private async leave(): Promise<void> {
    this.hasLeft = true;
    this.sender.end();
    this.stopped("You left the class.");
    say("class-status", "You left. Your messages of the current interval are being erased.");
    const answer = await insist((signal) => ask("DELETE", "api/participants", this.participant, { signal }));
    this.mustTell = answer === null || answer.status >= 500 || answer.status === 429;
    this.hideButtons();
    say("class-status", answer?.ok ? "You left. Your messages of the current interval were erased." : await notErased(answer));
  }

  /** The server no longer takes messages from this page. */
  private over(status: number): void {
    if (this.hasLeft) return;
    this.hasLeft = true;
    this.mustTell = false;
    const why = status === 403 ? CONTINUED : status === 401 ? "Nothing is sent any more." : OVER;
    say("class-status", why);
    this.hideButtons();
    this.show();
    this.stopped(why);
    if (status === 401) void this.whyUnknown().then((sentence) => say("class-status", sentence));
  }

  /** Find out why the server no longer knows this participant: because they left, or because the lesson ended. */
  private async whyUnknown(): Promise<string> {
    const answer = await ask("GET", "api/lesson", this.token).catch(() => null);
    if (!answer?.ok) return UNKNOWN;
    return ((await answer.json()) as Lesson).state === "ended" ? OVER : LEFT;
  }

  /** Hide what has no effect any more: signals, and the button to leave. */
  private hideButtons(): void {
    for (const id of ["class-signals", "class-leave"]) element(id).hidden = true;
  }

  private show(): void {
    const { sender } = this;
    const left = sender.signalsLeft;
    for (const button of this.buttons) {
      const isPressed = sender.pressedSignal === button.textContent;
      button.setAttribute("aria-pressed", String(isPressed));
      button.disabled = this.hasLeft || (left === 0 && sender.pressedSignal === null);
    }
    const waits = sender.pressedSignal === null ? "" : " It is sent with the next message; press again to withdraw it.";
    const returned = sender.returnedSignal === null ? "" : ` "${sender.returnedSignal}" was not counted.`;
    say("signals-left", this.hasLeft ? "" : `${left} left in this lesson.${waits}${returned}`);
    element<HTMLButtonElement>("leave").disabled = this.hasLeft;
    sayMessage("message-last", sender.last || "nothing yet");
    sayMessage("message-next", this.hasLeft ? "nothing" : sender.next || (this.isPaused ? "nothing: paused" : "nothing: no face is read"));
    if (this.hasLeft) return;
    const words = {
      idle: this.hasStarted ? "Nothing has been sent yet." : "The lesson has not started.",
      sent: "The last message arrived.",
      "waiting for the lesson": "The lesson has not started. Messages and signals are not counted yet.",
      refused: `The last message was not counted. ${sender.refusal}`,
      "network away": `The server does not answer. Messages waiting: ${sender.waiting}. Those older than an interval are dropped.`,
      ended: OVER,
    } as const;
    const paused = sender.pressedSignal === null ? "Paused: nothing is sent." : "Paused: only your signal is sent.";
    say("class-status", this.isPaused ? paused : words[sender.state]);
  }
}
