/** Chart of a lesson's timeline: one row per quantity, with its value as a line and the uncertainty due to noise as a band. */

import { COLOURS } from "../engine/constants.js";
import { clock } from "../learner/elements.js";
import type { ClassDocument, TimelineBin } from "./api.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000;
const ROW = 62;
const GAP = 12;
const TOP = 34;
const LEFT = 132;
const RIGHT = 12;

interface Row {
  readonly name: string;
  readonly colour: string;
  value(bin: TimelineBin): number | null;
  error(bin: TimelineBin): number;
}

/** Return the rows of a class; expressions are sorted by descending mean share, and small ones are omitted unless `all`. */
export function rowsOf(shown: ClassDocument, all: boolean): readonly Row[] {
  const order = shown.categories.map((_, k) => k);
  const mean = shown.lesson?.expressions ?? [];
  order.sort((a, b) => (mean[b] ?? 0) - (mean[a] ?? 0) || a - b);
  const expressions = (all ? order : order.slice(0, 3)).map((k) => {
    const name = shown.categories[k]!;
    return {
      name,
      colour: COLOURS[name] ?? "#888",
      value: (bin: TimelineBin) => bin.expressions[k] ?? null,
      error: (bin: TimelineBin) => bin.error ?? 0,
    };
  });
  const facing: Row = {
    name: "facing the screen",
    colour: "var(--accent)",
    value: (bin) => bin.facing,
    error: (bin) => bin.facing_error ?? 0,
  };
  const signals = shown.signals.map((name, k) => ({
    name: `said "${name}"`,
    colour: "var(--amber)",
    value: (bin: TimelineBin) => (bin.signals === null || !bin.people ? null : Math.min(1, bin.signals[k]! / bin.people)),
    error: (bin: TimelineBin) => (bin.people ? (bin.signal_error ?? 0) / bin.people : 0),
  }));
  return [...expressions, facing, ...signals];
}

/** Draw the timeline into a container; `choose` is called with the start of a selected bin in seconds. */
export function drawTimeline(place: HTMLElement, shown: ClassDocument, all: boolean, choose: (at_s: number) => void): void {
  const rows = rowsOf(shown, all);
  const height = TOP + rows.length * (ROW + GAP) + 22;
  const length_s = shown.bins * shown.bin_s;
  const x = (at_s: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * at_s) / length_s;
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", class: "timeline" });
  svg.setAttribute("aria-label", describe(shown, rows));
  const pattern = make("pattern", { id: "gap", width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  pattern.append(make("rect", { width: 3, height: 8, class: "hatch" }));
  const defs = make("defs", {});
  defs.append(pattern);
  svg.append(defs);
  rows.forEach((row, n) => {
    const top = TOP + n * (ROW + GAP);
    const y = (value: number): number => top + ROW * (1 - Math.min(1, Math.max(0, value)));
    svg.append(make("rect", { x: LEFT, y: top, width: WIDTH - LEFT - RIGHT, height: ROW, rx: 6, class: "ground" }));
    for (const bin of shown.timeline) {
      const [from, to] = [x(bin.from_s), x(bin.to_s)];
      if (bin.state === "gap") svg.append(make("rect", { x: from, y: top, width: to - from, height: ROW, fill: "url(#gap)" }));
      const value = row.value(bin);
      if (value === null) {
        if (n === 0) svg.append(label((from + to) / 2, top + ROW / 2 + 5, bin.state === "gap" ? "away" : "too few", "tick"));
        continue;
      }
      const error = row.error(bin);
      const [high, low] = [y(value + error), y(value - error)];
      const band = make("rect", { x: from, y: high, width: Math.max(1, to - from - 1), height: Math.max(2, low - high), class: "spread" });
      const line = make("rect", { x: from, y: y(value) - 1.5, width: Math.max(1, to - from - 1), height: 3, rx: 1.5 });
      band.style.fill = row.colour;
      line.style.fill = row.colour;
      svg.append(band, line);
    }
    svg.append(label(LEFT - 10, top + ROW / 2 + 5, row.name, "row-name"));
    if (n === 0) svg.append(label(LEFT + 6, top + 13, "100%", "scale"));
  });
  const bottom = TOP + rows.length * (ROW + GAP) - GAP;
  const step_s = [60, 120, 300, 600, 900, 1800, 3600].find((each) => length_s / each <= 9) ?? 7200;
  for (let at_s = 0; at_s <= length_s; at_s += step_s) {
    svg.append(label(x(at_s), bottom + 20, clock(at_s), at_s === length_s ? "tick last" : "tick"));
  }
  let lastRight = -Infinity;
  let level = 0;
  for (const mark of shown.marks) {
    const at = x(mark.at_s);
    level = at < lastRight ? (level + 1) % 2 : 0;
    lastRight = at + 8 * Math.min(16, mark.text.length) + 12;
    svg.append(make("line", { x1: at, x2: at, y1: TOP - 6, y2: bottom, class: mark.kind }));
    const text = mark.text.length > 16 ? `${mark.text.slice(0, 15)}…` : mark.text;
    svg.append(label(Math.min(at + 3, WIDTH - 8 * text.length), 13 + 15 * level, text, `mark-name ${mark.kind}`));
  }
  if (shown.state === "running" && shown.elapsed_s !== null) {
    const at = x(Math.min(shown.elapsed_s, length_s));
    svg.append(make("line", { x1: at, x2: at, y1: TOP, y2: bottom, class: "now" }));
  }
  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect();
    const at_s = (((event.clientX - box.left) / box.width) * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT) * length_s;
    if (at_s >= 0 && at_s <= length_s) choose(Math.floor(at_s / shown.bin_s) * shown.bin_s);
  });
  place.replaceChildren(svg);
}

function describe(shown: ClassDocument, rows: readonly Row[]): string {
  const last = shown.timeline.findLast((bin) => bin.state === "published");
  if (last === undefined) return "Timeline of the lesson; no numbers yet";
  const told = rows.flatMap((row) => {
    const value = row.value(last);
    return value === null ? [] : [`${row.name} ${Math.round(100 * value)} percent`];
  });
  return `Timeline of the lesson. At ${clock(last.to_s)}: ${told.join(", ")}. All numbers are in the table below.`;
}

function make(name: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

function label(x: number, y: number, text: string, kind: string): SVGElement {
  const made = make("text", { x: Math.round(x), y: Math.round(y), class: kind });
  made.textContent = text;
  return made;
}
