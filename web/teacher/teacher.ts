/** The teacher's page: opening a class, the live lesson and its review. It shows published numbers only. */

import { COLOURS } from "../engine/constants.js";
import { clock, download, element, say } from "../learner/elements.js";
import { Alerts } from "./alerts.js";
import { Api, type ClassDocument, type Links, type Mark, RefusedError, type SeriesLesson, type TimelineBin } from "./api.js";
import { drawTimeline } from "./band_chart.js";
import { type JoinLink, isLocal, recallJoinLink, rememberJoinLink } from "./join_link.js";

const TOAST_MS = 5000;

/** Format a share as a percentage. */
function percent(share: number): string {
  return `${Math.round(100 * share)}%`;
}

function make<K extends keyof HTMLElementTagNameMap>(tag: K, text = "", kind = ""): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = kind;
  return made;
}

let toastTimer: ReturnType<typeof setTimeout> | undefined;

function toast(sentence: string): void {
  const place = element("toast");
  place.textContent = sentence;
  place.hidden = false;
  say("spoken", sentence);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (place.hidden = true), TOAST_MS);
}

function showProblem(sentence: string): void {
  element("problem").hidden = sentence === "";
  say("problem", sentence);
}

function showJoinLink({ url, qr }: JoinLink): void {
  for (const id of ["qr", "waits-qr"]) element<HTMLImageElement>(id).src = `data:image/svg+xml,${encodeURIComponent(qr)}`;
  for (const id of ["join-url", "waits-url"]) element<HTMLInputElement>(id).value = url;
  for (const each of document.querySelectorAll<HTMLElement>(".local-only")) each.hidden = !isLocal(url);
  for (const id of ["waits-qr", "waits-field", "waits-copy"]) element(id).hidden = false;
  element("waits-show").hidden = true;
}

class TeacherPage {
  private shown: ClassDocument | null = null;
  private series: readonly SeriesLesson[] = [];
  private alerts: Alerts | null = null;
  private readonly stop = new AbortController();
  private elapsed = { at_ms: 0, s: 0 };
  private moveNow: (elapsed_s: number) => void = () => undefined;
  private chartWidth = 0;
  private noteAt_s = 0;
  private refreshing = false;
  private stale = false;

  constructor(private readonly api: Api) {
    const link = recallJoinLink(api.token);
    if (link !== null) showJoinLink(link);
    this.wire();
    void this.refresh();
    void api.listen(
      () => void this.refresh(),
      (is) => {
        document.body.classList.toggle("away", !is);
        if (is) void this.refresh();
      },
      this.stop.signal,
    );
    setInterval(() => this.showTime(), 1000);
  }

  private wire(): void {
    const click = (id: string, action: () => unknown): void =>
      element(id).addEventListener("click", () => {
        Promise.resolve(action()).catch((error: unknown) => toast(error instanceof Error ? error.message : String(error)));
      });
    const { api } = this;
    click("start", async () => {
      await api.json("POST", "class/start");
      await this.refresh();
    });
    click("end", async () => {
      if (!(await this.sure("End the lesson? Learners' pages stop sending. Messages of the current interval are deleted.", "End lesson"))) return;
      await api.json("POST", "class/end");
      await this.refresh();
    });
    click("share", async () => {
      if (element<HTMLInputElement>("join-url").value === "") await this.newJoinLink();
      element<HTMLDialogElement>("share-dialog").showModal();
    });
    for (const id of ["copy", "waits-copy"]) {
      click(id, async () => {
        await navigator.clipboard.writeText(element<HTMLInputElement>("join-url").value);
        toast("The link was copied.");
      });
    }
    click("waits-show", () => this.newJoinLink());
    click("renew", async () => {
      const { revoked } = await api.json<{ revoked: number }>("DELETE", "class/links/join");
      await this.newJoinLink();
      toast(`${revokedLinks(revoked, "earlier")} Learners who have joined stay.`);
    });
    click("revoke-teach", async () => {
      const { revoked } = await api.json<{ revoked: number }>("DELETE", "class/links/teach");
      toast(revokedLinks(revoked, "other", " to teach"));
    });
    click("share-teach", async () => {
      const { url } = await api.json<{ url: string }>("POST", "class/links", { kind: "teach" });
      const isCopied = await navigator.clipboard.writeText(url).then(() => true, () => false);
      const copied = "A new link to teach was copied. Anybody who has it can see and manage this class.";
      toast(isCopied ? copied : "The browser does not let this page copy a link. Open the page in its own window and try again.");
    });
    click("collapse", () => {
      const is = document.body.classList.toggle("collapsed");
      element("collapse").setAttribute("aria-expanded", String(!is));
      say("collapse", is ? "Show details" : "Hide details");
    });
    click("csv", async () => download("class.csv", await api.blob("class/table.csv")));
    click("print", () => print());
    click("next", async () => {
      const made = await api.json<Links>("POST", "class/next", { title: this.shown?.title ?? "" });
      go(made);
    });
    click("erase", async () => {
      if (!(await this.sure("Erase this class with its numbers, marks and notes? This cannot be undone.", "Erase"))) return;
      await api.json("DELETE", "class");
      this.stop.abort();
      document.body.dataset["view"] = "none";
      showProblem("This class was erased.");
    });
    element("mark-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const input = element<HTMLInputElement>("mark-text");
      void this.write("mark", input);
    });
    element("note-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.write("note", element<HTMLInputElement>("note-text"), this.noteAt_s);
    });
    element("mean").addEventListener("change", () => void this.refresh());
    element("all").addEventListener("change", () => this.showTimeline());
    new ResizeObserver(() => {
      if (element("timeline").clientWidth !== this.chartWidth) this.showTimeline();
    }).observe(element("timeline"));
    element("alerts").addEventListener("change", () => {
      const isOn = element<HTMLInputElement>("alerts").checked;
      this.alerts = isOn && this.shown !== null ? new Alerts(this.shown.signals) : null;
      this.alerts?.look(this.shown?.timeline ?? []); // marks existing bins as processed
    });
    click("alert-close", () => (element("alert").hidden = true));
  }

  private async write(kind: Mark["kind"], input: HTMLInputElement, at_s?: number): Promise<void> {
    try {
      await this.api.json("POST", "class/marks", { kind, text: input.value, ...(at_s === undefined ? {} : { at_s }) });
      input.value = "";
      await this.refresh();
    } catch (error) {
      toast((error as Error).message);
    }
  }

  private async newJoinLink(): Promise<void> {
    const link = await this.api.json<JoinLink>("POST", "class/links", { kind: "join" });
    rememberJoinLink(this.api.token, link);
    showJoinLink(link);
  }

  /** Ask for confirmation of an action that cannot be undone. */
  private sure(question: string, action: string): Promise<boolean> {
    const dialog = element<HTMLDialogElement>("sure-dialog");
    say("sure-question", question);
    say("sure-yes", action);
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
  }

  private async refresh(): Promise<void> {
    if (this.refreshing) {
      this.stale = true;
      return;
    }
    this.refreshing = true;
    try {
      do {
        this.stale = false;
        const mean = element<HTMLSelectElement>("mean").value;
        const shown = await this.api.json<ClassDocument>("GET", `class?mean=${mean}`);
        if (shown.state === "ended" || this.series.length === 0) this.series = await this.api.json("GET", "class/series");
        if (this.stop.signal.aborted) return; // erased in the meantime
        this.shown = shown;
        this.show();
      } while (this.stale);
    } catch (error) {
      // ignore refused requests that were sent before the class was erased
      if (error instanceof RefusedError && error.status === 401 && !this.stop.signal.aborted) {
        this.stop.abort();
        document.body.dataset["view"] = "none";
        showProblem(error.message);
      }
    } finally {
      this.refreshing = false;
    }
  }

  private show(): void {
    const { shown } = this;
    if (shown === null) return;
    this.elapsed = { at_ms: performance.now(), s: shown.elapsed_s ?? 0 };
    document.body.dataset["view"] = "class";
    document.body.dataset["state"] = shown.state;
    document.body.classList.toggle("observables", shown.level === "observables");
    document.title = `${shown.title} - Mien`;
    say("title", shown.title);
    say("state", { waiting: "not started", running: "live", ended: "over" }[shown.state]);
    element("start").hidden = shown.state !== "waiting";
    element("end").hidden = shown.state !== "running";
    element("share").hidden = shown.state === "ended";
    element("mark-form").hidden = shown.state !== "running";
    element("next").hidden = shown.state !== "ended";
    say("what", shown.level === "observables" ? "Presence, facing the screen and learners' signals. Expressions are not read in this class." : "Resemblance to seven expressions, not feelings. It says little about attention or understanding; ask your learners.");
    say("rules", `Sums over everybody for each interval of ${words(shown.bin_s)}, and each number contains random noise (standard deviation ${shown.noise.toFixed(1)} people). Nothing is shown if fewer than ${shown.k} people seem to be taking part. Bands are 95% intervals of the noise; grey numbers are too small to tell from it.`);
    say("waits-note", `Mien does not show who or how many have joined. Ask the class, then press Start lesson. Numbers appear after each interval of ${words(shown.bin_s)} in which at least ${shown.k} people seem to take part; otherwise this page says “too few”.`);
    this.showNow(shown);
    this.showTimeline();
    this.showTime();
    this.showTable(shown);
    this.showMarks(shown);
    this.showSeries();
    const said = this.alerts?.look(shown.timeline) ?? "";
    if (said !== "") {
      say("alert-text", said);
      element("alert").hidden = false;
      say("spoken", said);
    }
  }

  private elapsedNow(shown: ClassDocument): number {
    return this.elapsed.s + (shown.state === "running" ? (performance.now() - this.elapsed.at_ms) / 1000 : 0);
  }

  private showTime(): void {
    const { shown } = this;
    if (shown === null) return;
    const elapsed_s = this.elapsedNow(shown);
    this.moveNow(elapsed_s);
    say("elapsed", shown.started_s === null ? "" : clock(Math.min(elapsed_s, shown.bins * shown.bin_s)));
    const left_s = Math.max(0, (shown.timeline.length + 1) * shown.bin_s - elapsed_s);
    say("until", shown.state === "running" ? `· next numbers in ${clock(left_s)}` : "");
  }

  /** Show the numbers of the latest bin, or of the whole lesson after its end. */
  private showNow(shown: ClassDocument): void {
    const isOver = shown.state === "ended";
    const last = shown.timeline.at(-1);
    const now = isOver ? shown.lesson : (last ?? null);
    say("now-title", isOver ? "The whole lesson: means of all its intervals" : "Now");
    element("now-title").classList.toggle("unseen", !isOver);
    if (now === null || now.people === null) {
      const why = last?.state === "gap" ? "gap" : last === undefined ? "none" : "few";
      say("coverage", { gap: "no numbers", none: "–", few: "too few" }[why]);
      const sentences = {
        gap: "The server was down in this interval, so nothing was measured.",
        none: isOver ? "The lesson ended before its first interval was over." : `Numbers appear after each interval of ${words(shown.bin_s)} in which at least ${shown.k} people seem to take part.`,
        few: `Fewer than ${shown.k} people seem to be taking part, so nothing is shown.`,
      };
      say("coverage-note", sentences[why]);
    } else if (now.measured === null) {
      say("coverage", "too few");
      say("coverage-note", `Fewer than ${shown.k} of ${now.people} people were measured, so only their signals are shown.`);
    } else {
      say("coverage", `${now.measured} of ${now.people}`);
      say("coverage-note", isOver ? "people measured, on average" : "people measured. Those not measured are not necessarily away.");
    }
    const facing = now?.facing ?? null;
    say("facing", facing === null ? "–" : `${percent(facing)}`);
    const isFacingFaint = isFaint(facing, now?.facing_error);
    element("facing").classList.toggle("faint", isFacingFaint);
    const facingNote = `± ${Math.round(100 * (now?.facing_error ?? 0))} points${isFacingFaint ? `, ${FAINT}` : ""}`;
    say("facing-note", facing === null ? "" : facingNote);
    const list = element("signals");
    list.replaceChildren(
      ...shown.signals.map((name, k) => {
        const item = make("div");
        const value = now?.signals?.[k];
        const kind = isFaint(value, now?.signal_error) ? "faint" : "";
        item.append(make("dt", name), make("dd", value === undefined ? "–" : String(value), kind));
        return item;
      }),
    );
    const areFaint = now?.signals?.some((value) => isFaint(value, now.signal_error)) ? `. Grey: ${FAINT}.` : "";
    say("signals-note", now?.signals ? `${isOver ? "per interval on average, " : ""}± ${now.signal_error} people${areFaint}` : "");
    this.showShares(shown, now);
  }

  private showShares(shown: ClassDocument, now: ClassDocument["lesson"] | TimelineBin | null): void {
    const list = element("shares");
    list.replaceChildren(
      ...shown.categories.map((name, k) => {
        const row = make("li");
        const share = now?.expressions[k];
        const track = make("span", "", "track");
        track.setAttribute("aria-hidden", "true");
        if (share !== undefined) {
          const error = now?.error ?? 0;
          const [low, high] = [Math.max(0, share - error), Math.min(1, share + error)];
          const spread = make("span", "", "spread");
          spread.style.left = `${100 * low}%`;
          spread.style.width = `${100 * (high - low)}%`;
          spread.style.background = COLOURS[name] ?? "";
          const point = make("span", "", "point");
          point.style.left = `${100 * share}%`;
          track.append(spread, point);
        }
        const kind = isFaint(share, now?.error) ? "share faint" : "share";
        row.append(make("span", name), track, make("span", share === undefined ? "–" : percent(share), kind));
        return row;
      }),
    );
    const areFaint = now?.expressions.some((share) => isFaint(share, now.error)) ? `. Grey: ${FAINT}.` : "";
    say("shares-note", now?.error ? `± ${Math.round(100 * now.error)} points${areFaint}` : "");
  }

  private showTimeline(): void {
    const { shown } = this;
    if (shown === null) return;
    this.chartWidth = element("timeline").clientWidth;
    if (this.chartWidth === 0) return; // hidden
    this.moveNow = drawTimeline(element("timeline"), shown, element<HTMLInputElement>("all").checked, (at_s) => {
      this.noteAt_s = at_s;
      say("note-at", `What happened at ${clock(at_s)}?`);
      element("note-form").hidden = false;
      element("note-text").focus();
    });
    this.moveNow(this.elapsedNow(shown));
    element("all-field").hidden = shown.categories.length === 0;
  }

  private showTable(shown: ClassDocument): void {
    const head = make("tr");
    const names = ["time", "measured", "facing", ...shown.categories, ...shown.signals.map((name) => `"${name}"`)];
    head.append(...names.map((name) => make("th", name)));
    const rows = shown.timeline.map((bin) => {
      const row = make("tr");
      const cell = (value: number | null | undefined, error: number | null, text: (value: number) => string): HTMLTableCellElement =>
        make("td", value === null || value === undefined ? "–" : text(value), isFaint(value, error) ? "faint" : "");
      const cells =
        bin.state === "gap"
          ? [make("td", "server down")]
          : bin.people === null
            ? [make("td", "too few")]
            : [
                make("td", bin.measured === null ? `too few of ${bin.people}` : `${bin.measured} of ${bin.people}`),
                cell(bin.facing, bin.facing_error, percent),
                ...shown.categories.map((_, k) => cell(bin.expressions[k], bin.error, percent)),
                ...(bin.signals ?? []).map((value) => cell(value, bin.signal_error, String)),
              ];
      const time = make("th", clock(bin.from_s));
      time.scope = "row";
      row.append(time, ...cells);
      return row;
    });
    element("table").replaceChildren(head, ...rows);
  }

  private showMarks(shown: ClassDocument): void {
    const items = shown.marks.map((mark) => {
      const item = make("li", "", mark.kind);
      const remove = make("button", "Remove", "quiet");
      remove.type = "button";
      remove.setAttribute("aria-label", `Remove ${mark.text}`);
      remove.addEventListener("click", () => {
        this.api.json("DELETE", `class/marks/${mark.mark_id}`).then(
          () => this.refresh(),
          (error: Error) => toast(error.message),
        );
      });
      item.append(make("span", clock(mark.at_s), "when"), make("span", mark.text, "text"), remove);
      return item;
    });
    element("marks").replaceChildren(...items);
    element("marks-none").hidden = items.length > 0;
  }

  private showSeries(): void {
    const told = this.series.filter(({ lesson }) => lesson?.measured);
    element("series-block").hidden = told.length < 2;
    const rows = told.map((each) => {
      const row = make("tr");
      const { lesson } = each;
      const day = new Date(1000 * each.created_s).toLocaleDateString();
      const name = make("th", `${each.title}, ${day}${each.is_this ? " (this one)" : ""}`);
      name.scope = "row";
      const top = each.categories
        .map((label, k) => ({ label, share: lesson?.expressions[k] ?? 0 }))
        .sort((a, b) => b.share - a.share)
        .slice(0, 2)
        .map(({ label, share }) => `${label} ${percent(share)}`);
      row.append(
        name,
        make("td", `${lesson?.measured} of ${lesson?.people}`),
        make("td", lesson?.facing === null || lesson === null ? "–" : `${percent(lesson.facing)} ± ${Math.round(100 * (lesson.facing_error ?? 0))}`),
        make("td", top.length ? `${top.join(", ")} ± ${Math.round(100 * (lesson?.error ?? 0))}` : "–"),
        make("td", (lesson?.signals ?? []).join(" / ")),
      );
      return row;
    });
    element("series").replaceChildren(...rows);
  }
}

const FAINT = "too small to tell from noise";

/** Return whether a number is smaller than its error. */
function isFaint(value: number | null | undefined, error: number | null | undefined): boolean {
  return value !== null && value !== undefined && Math.abs(value) < (error ?? 0);
}

/** Say how many links were revoked. */
function revokedLinks(count: number, which: string, purpose = ""): string {
  return count === 1 ? `1 ${which} link${purpose} no longer works.` : `${count} ${which} links${purpose} no longer work.`;
}

/** Format a duration in words. */
function words(seconds: number): string {
  return seconds % 60 === 0 ? `${seconds / 60} minute${seconds === 60 ? "" : "s"}` : `${seconds} seconds`;
}

/** Open the page of a new class; the link to join is remembered in this tab. */
function go(links: Links): void {
  rememberJoinLink(new URL(links.teach).hash.slice(1), { url: links.join, qr: links.qr });
  location.href = links.teach;
  if (new URL(links.teach).pathname === location.pathname) location.reload();
}

/** Set up the form for opening a class; it is shown once the link is known to be valid. */
function openForm(api: Api): void {
  const form = element<HTMLFormElement>("new-form");
  const number = (id: string): number => Number(element<HTMLInputElement>(id).value);
  const values = (): { bin_s: number; bins: number } => {
    const bin_s = number("new-bin");
    return { bin_s, bins: Math.max(1, Math.ceil((60 * number("new-length")) / bin_s)) };
  };
  const tell = async (): Promise<void> => {
    const { bin_s, bins } = values();
    const people = number("new-people");
    const plan = await api.json<{ noise: number; signal_noise: number }>("GET", `plan?bin_s=${bin_s}&bins=${bins}`).catch((error: Error) => error);
    if (plan instanceof RefusedError && plan.status === 401) {
      refused(plan);
      return;
    }
    document.body.dataset["view"] = "new";
    if (plan instanceof Error) {
      say("new-noise", plan.message);
      return;
    }
    const points = Math.min(100, Math.round((196 * plan.noise) / Math.max(1, people)));
    const whole = Math.min(100, Math.round(points / Math.sqrt(bins)));
    const advice = points > 25 ? " For a class of this size, choose longer intervals or look at means." : "";
    say("new-noise", `With ${people} learners, shares are accurate to ± ${points} points in each interval and to ± ${whole} points over the whole lesson.${advice}`);
  };
  const refused = (error: Error): void => {
    if (error instanceof RefusedError && error.status === 401) document.body.dataset["view"] = "none";
    showProblem(error.message);
  };
  form.addEventListener("input", () => void tell());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = { title: element<HTMLInputElement>("new-title").value, ...values() };
    api.json<Links>("POST", "classes", body).then(go, refused);
  });
  void tell();
}

function open(): void {
  const token = location.hash.slice(1);
  const path = location.pathname.replace(/.*\//, "");
  if (token === "") {
    document.body.dataset["view"] = "none";
    showProblem(path === "" ? "This is a class server. Open the link that you received." : "This address is incomplete. Open the link that you received.");
    return;
  }
  const api = new Api(token);
  if (path === "new") {
    openForm(api);
    return;
  }
  new TeacherPage(api);
}

addEventListener("hashchange", () => location.reload());
open();
