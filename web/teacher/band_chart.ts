/** Chart of a lesson's timeline: one row per quantity, with its value as a line and the uncertainty due to noise as a band. */

import { COLOURS } from "../engine/constants.js";
import { clock } from "../learner/elements.js";
import type { ClassDocument, TimelineBin } from "./api.js";

const SVG = "http://www.w3.org/2000/svg";
const MARKS = 34;
const AXIS = 22;
/** Space for half of the last label of the time axis. */
export const RIGHT = 28;
/** Least distance of two labels of the time axis in pixels. */
const LABEL = 64;

/** Measures of a chart in pixels. */
export interface Layout {
  readonly width: number;
  /** Left edge of the plot. */
  readonly left: number;
  /** Upper edge of the first row. */
  readonly top: number;
  readonly row: number;
  readonly gap: number;
  /** Whether row names are above the rows instead of to their left. */
  readonly isNarrow: boolean;
}

/** Return the measures of a chart of this width. */
export function layoutFor(width: number): Layout {
  const isNarrow = width < 640;
  return isNarrow
    ? { width, left: 42, top: MARKS + 22, row: 48, gap: 30, isNarrow }
    : { width, left: 150, top: MARKS, row: 62, gap: 14, isNarrow };
}

/** Return the times with a label on the axis, in seconds. */
export function axisTimes(length_s: number, plotWidth: number): number[] {
  const most = Math.max(1, Math.min(9, Math.floor(plotWidth / LABEL)));
  const step_s = [60, 120, 300, 600, 900, 1800, 3600].find((each) => length_s / each <= most) ?? 7200;
  return Array.from({ length: Math.floor(length_s / step_s) + 1 }, (_, k) => k * step_s);
}

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

/**
 * Draw the timeline into a container, in its width; return a function that moves the line of the current time.
 *
 * `choose` is called with the start of a selected bin in seconds.
 */
export function drawTimeline(place: HTMLElement, shown: ClassDocument, all: boolean, choose: (at_s: number) => void): (elapsed_s: number) => void {
  const rows = rowsOf(shown, all);
  const { width, left, top, row: rowHeight, gap, isNarrow } = layoutFor(Math.max(240, place.clientWidth));
  const plot = width - left - RIGHT;
  const bottom = top + rows.length * (rowHeight + gap) - gap;
  const height = bottom + AXIS + 6;
  const length_s = shown.bins * shown.bin_s;
  const x = (at_s: number): number => left + (plot * Math.min(at_s, length_s)) / length_s;
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: isNarrow ? "timeline narrow-rows" : "timeline" });
  svg.setAttribute("aria-label", describe(shown, rows));
  const pattern = make("pattern", { id: "gap", width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  pattern.append(make("rect", { width: 3, height: 8, class: "hatch" }));
  const defs = make("defs", {});
  defs.append(pattern);
  svg.append(defs);
  rows.forEach((row, n) => {
    const upper = top + n * (rowHeight + gap);
    const y = (value: number): number => upper + rowHeight * (1 - Math.min(1, Math.max(0, value)));
    svg.append(make("rect", { x: left, y: upper, width: plot, height: rowHeight, rx: 6, class: "ground" }));
    for (const bin of shown.timeline) {
      const [from, to] = [x(bin.from_s), x(bin.to_s)];
      if (bin.state === "gap") svg.append(make("rect", { x: from, y: upper, width: to - from, height: rowHeight, fill: "url(#gap)" }));
      const value = row.value(bin);
      if (value === null) {
        if (n === 0) svg.append(label((from + to) / 2, upper + rowHeight / 2 + 5, bin.state === "gap" ? "away" : "too few", "tick"));
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
    svg.append(isNarrow ? label(left, upper - 6, row.name, "row-name") : label(left - 10, upper + rowHeight / 2 + 5, row.name, "row-name"));
    if (n === 0) svg.append(label(left - 6, upper + 9, "100%", "scale"), label(left - 6, upper + rowHeight, "0%", "scale"));
  });
  for (const at_s of axisTimes(length_s, plot)) {
    svg.append(label(x(at_s), bottom + 20, clock(at_s), "tick"));
  }
  let lastRight = -Infinity;
  let level = 0;
  for (const mark of shown.marks) {
    const at = x(mark.at_s);
    level = at < lastRight ? (level + 1) % 2 : 0;
    lastRight = at + 8 * Math.min(16, mark.text.length) + 12;
    svg.append(make("line", { x1: at, x2: at, y1: MARKS - 6, y2: bottom, class: mark.kind }));
    const text = mark.text.length > 16 ? `${mark.text.slice(0, 15)}…` : mark.text;
    svg.append(label(Math.min(at + 3, width - 8 * text.length), 13 + 15 * level, text, `mark-name ${mark.kind}`));
  }
  const now = make("line", { y1: top, y2: bottom, class: "now" });
  if (shown.state === "running") svg.append(now);
  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect();
    const at_s = (((event.clientX - box.left) / box.width) * width - left) / plot * length_s;
    if (at_s >= 0 && at_s <= length_s) choose(Math.floor(at_s / shown.bin_s) * shown.bin_s);
  });
  place.replaceChildren(svg);
  return (elapsed_s) => {
    for (const end of ["x1", "x2"]) now.setAttribute(end, String(x(elapsed_s)));
  };
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
