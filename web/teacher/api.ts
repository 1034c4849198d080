/** Client of the class server for a teacher's page. The link's token is sent in a header, never in a URL. */

/** The published numbers of a bin, or the mean of several. */
export interface BinView {
  readonly number: number;
  readonly people: number | null;
  readonly measured: number | null;
  readonly facing: number | null;
  readonly facing_error: number | null;
  readonly expressions: readonly number[];
  readonly error: number | null;
  readonly signals: readonly number[] | null;
  readonly signal_error: number | null;
}

export interface TimelineBin extends BinView {
  readonly from_s: number;
  readonly to_s: number;
  readonly state: "published" | "too few" | "gap";
}

export interface Mark {
  readonly mark_id: string;
  readonly kind: "mark" | "note";
  readonly at_s: number;
  readonly text: string;
}

export interface ClassDocument {
  readonly title: string;
  readonly state: "waiting" | "running" | "ended";
  readonly level: "full" | "observables";
  readonly bin_s: number;
  readonly bins: number;
  readonly k: number;
  readonly budget: number;
  readonly noise: number;
  readonly signal_noise: number;
  readonly categories: readonly string[];
  readonly signals: readonly string[];
  readonly started_s: number | null;
  readonly elapsed_s: number | null;
  readonly timeline: readonly TimelineBin[];
  readonly lesson: (BinView & { readonly published: number }) | null;
  readonly marks: readonly Mark[];
}

export interface SeriesLesson {
  readonly title: string;
  readonly created_s: number;
  readonly state: string;
  readonly is_this: boolean;
  readonly categories: readonly string[];
  readonly lesson: BinView | null;
}

export interface Links {
  readonly teach: string;
  readonly join: string;
  readonly qr: string;
}

/** A refused request, with a message for the user. */
export class RefusedError extends Error {
  constructor(
    readonly status: number,
    sentence: string,
  ) {
    super(sentence);
  }
}

const AWAY = "The class server does not answer.";

export class Api {
  constructor(readonly token: string) {}

  async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await this.send(method, path, body);
    return (answer.status === 204 ? {} : await answer.json()) as T;
  }

  async blob(path: string): Promise<Blob> {
    return (await this.send("GET", path)).blob();
  }

  /** Call `changed` for each event until `signal` is aborted; reconnects when the connection is lost. */
  async listen(changed: () => void, connected: (is: boolean) => void, signal: AbortSignal): Promise<void> {
    let wait_ms = 500;
    while (!signal.aborted) {
      try {
        const answer = await fetch("api/class/events", { headers: this.headers(), signal });
        if (answer.status === 401) {
          changed(); // the page then requests the class and shows the error
          return;
        }
        if (!answer.ok || answer.body === null) throw new Error(AWAY);
        connected(true);
        wait_ms = 500;
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        let rest = "";
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          const lines = (rest + value).split("\n");
          rest = lines.pop() ?? "";
          if (lines.some((line) => line.startsWith("event: "))) changed();
        }
      } catch {
        if (signal.aborted) return;
      }
      connected(false);
      await new Promise((done) => setTimeout(done, wait_ms * (0.5 + Math.random())));
      wait_ms = Math.min(2 * wait_ms, 15_000);
    }
  }

  private headers(): Record<string, string> {
    return { Authorization: `Bearer ${this.token}` };
  }

  private async send(method: string, path: string, body?: unknown): Promise<Response> {
    const headers = this.headers();
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await fetch(`api/${path}`, { method, headers, ...sent }).catch(() => null);
    if (answer === null) throw new RefusedError(0, AWAY);
    if (!answer.ok) {
      const said = (await answer.json().catch(() => ({}))) as { error?: string };
      throw new RefusedError(answer.status, said.error ?? `The class server responded with status ${answer.status}.`);
    }
    return answer;
  }
}
