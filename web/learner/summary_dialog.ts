/** Dialog at the end of a session: the main numbers and the files to save. */

import { EMOTIONS, type Outcome, percent } from "../sdk.js";
import { clock, download, element, say } from "./elements.js";
import { bars, signed } from "./panel.js";

/** The parts of `summary.json` that are shown. */
export interface Summary {
  readonly duration_s: number;
  readonly frames: number;
  readonly frames_with_face: number;
  readonly faces_max: number;
  readonly dropped: number;
  readonly coverage: number;
  readonly facing_share: number | null;
  readonly uncertain_share?: number;
  readonly valence?: number | null;
  readonly arousal?: number | null;
  readonly distribution?: Readonly<Record<string, number>>;
}

/** Save a session's files. */
export function saveRows(outcome: Outcome): void {
  download(`${outcome.id}-observations.csv`, outcome.observations);
}

export function saveSummary(outcome: Outcome): void {
  const text = `${JSON.stringify(outcome.summary, null, 2)}\n`;
  download(`${outcome.id}-summary.json`, new Blob([text], { type: "application/json" }));
}

/** Save a session's xAPI statement with the account entered by the user, or with its anonymous one. */
function saveStatement(outcome: Outcome): void {
  const [home, name] = [element<HTMLInputElement>("account-home"), element<HTMLInputElement>("account-name")];
  name.required = home.value !== ""; // an account needs a name besides its home page
  if (!home.reportValidity() || !name.reportValidity()) return;
  const statement = structuredClone(outcome.statement) as { actor: { account: { homePage: string; name: string } } };
  const { account } = statement.actor;
  if (name.value !== "") account.name = name.value;
  if (home.value !== "") account.homePage = home.value;
  const text = `${JSON.stringify(statement, null, 2)}\n`;
  download(`${outcome.id}-statement.json`, new Blob([text], { type: "application/json" }));
}

/** Return the dialog's tiles about frames and faces: captions and values. */
export function frameTiles({ frames, frames_with_face, faces_max, dropped }: Summary): [string, string][] {
  const inView = percent(frames > 0 ? frames_with_face / frames : 0);
  const faces = faces_max === 0 ? "" : faces_max === 1 ? " · one face" : ` · up to ${faces_max} faces`;
  return [
    [`${dropped} frame${dropped === 1 ? "" : "s"} skipped`, `${frames} reading${frames === 1 ? "" : "s"}`],
    ["face in view", `${inView}${faces}`],
  ];
}

export class SummaryDialog {
  private readonly dialog = element<HTMLDialogElement>("summary-dialog");
  private readonly setBars = bars(element("summary-bars"));
  private outcome: Outcome | null = null;

  constructor() {
    element("save-rows").addEventListener("click", () => this.outcome && saveRows(this.outcome));
    element("save-summary").addEventListener("click", () => this.outcome && saveSummary(this.outcome));
    element("save-statement").addEventListener("click", () => this.outcome && saveStatement(this.outcome));
  }

  /** @param kept Sentence about where the session is stored. */
  show(outcome: Outcome, kept: string): void {
    this.outcome = outcome;
    const summary = outcome.summary as unknown as Summary;
    const tiles: [string, string][] = [
      ["duration", clock(summary.duration_s)],
      ...frameTiles(summary),
      ["facing the screen", summary.facing_share === null ? "-" : percent(summary.facing_share)],
      ["measured", percent(summary.coverage)],
    ];
    const { distribution } = summary;
    if (distribution !== undefined) {
      tiles.push(["uncertain", percent(summary.uncertain_share ?? 0)]);
      tiles.push(["valence", signed(summary.valence)], ["arousal", signed(summary.arousal)]);
      this.setBars(EMOTIONS.map((name) => distribution[name] ?? 0));
    }
    element("summary-bars").hidden = distribution === undefined;
    element("summary-tiles").replaceChildren(
      ...tiles.map(([name, value]) => {
        const tile = document.createElement("div");
        const [term, text] = [document.createElement("dt"), document.createElement("dd")];
        term.textContent = name;
        text.textContent = value;
        tile.append(term, text);
        return tile;
      }),
    );
    say("summary-kept", kept);
    this.dialog.showModal();
  }
}
