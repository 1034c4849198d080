/** The trend of the last seconds as a stacked area chart with one band per class. */

import { LONGEST_INTERVAL_S } from "../engine/constants.js";
import { COLOURS, EMOTIONS, type TrendPoint, percent } from "../sdk.js";
import { element } from "./elements.js";

/** Breaks in the readings longer than this many seconds are shown as gaps. */
const GAP_S = LONGEST_INTERVAL_S;
const MOMENT_S = 0.15;
const DESCRIBE_EVERY_MS = 5000;

export class TrendChart {
  private readonly canvas = element<HTMLCanvasElement>("trend");
  private points: readonly TrendPoint[] = [];
  private described_ms = -Infinity;

  constructor(private readonly window_s: number) {
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  clear(): void {
    this.points = [];
    this.draw();
    this.described_ms = -Infinity;
    this.canvas.setAttribute("aria-label", "No readings yet");
  }

  show(points: readonly TrendPoint[]): void {
    this.points = points;
    this.draw();
    const now_ms = performance.now();
    if (now_ms - this.described_ms > DESCRIBE_EVERY_MS) {
      this.described_ms = now_ms;
      this.canvas.setAttribute("aria-label", this.description());
    }
  }

  private draw(): void {
    const { canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * devicePixelRatio)) as [number, number];
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const context = canvas.getContext("2d")!;
    context.clearRect(0, 0, width, height);
    const newest_s = this.points.at(-1)?.t_s ?? 0;
    const x = (t_s: number): number => width * (1 - (newest_s - t_s) / this.window_s);
    for (const points of runs(this.points)) {
      // a single reading gets a minimum width
      const run = points.length > 1 ? points : [{ ...points[0]!, t_s: points[0]!.t_s - MOMENT_S }, points[0]!];
      let base = run.map(() => 0);
      EMOTIONS.forEach((name, k) => {
        const top = run.map((point, n) => base[n]! + point.shares![k]!);
        context.beginPath();
        run.forEach((point, n) => context.lineTo(x(point.t_s), height * (1 - top[n]!)));
        for (let n = run.length - 1; n >= 0; n--) context.lineTo(x(run[n]!.t_s), height * (1 - base[n]!));
        context.fillStyle = COLOURS[name]!;
        context.fill();
        base = top;
      });
    }
  }

  private description(): string {
    const read = this.points.filter((point) => point.shares !== null);
    if (read.length === 0) return "No readings in the last ten seconds";
    const means = EMOTIONS.map((name, k) => ({ name, share: read.reduce((sum, point) => sum + point.shares![k]!, 0) / read.length }));
    means.sort((a, b) => b.share - a.share);
    return `Last ten seconds, on average: ${means.slice(0, 3).map(({ name, share }) => `${name} ${percent(share)}`).join(", ")}`;
  }
}

/** Split the points at gaps. */
function runs(points: readonly TrendPoint[]): TrendPoint[][] {
  const found: TrendPoint[][] = [];
  let last_s = -Infinity;
  for (const point of points) {
    if (point.shares === null) {
      last_s = -Infinity;
      continue;
    }
    if (point.t_s - last_s > GAP_S) found.push([]);
    found.at(-1)!.push(point);
    last_s = point.t_s;
  }
  return found;
}
