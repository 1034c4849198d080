/** The panel of numbers: current expression, shares, trend, affect, facing and rates. */

import { COLOURS, EMOTIONS, type Reading, nearest, percent } from "../sdk.js";
import { clock, element, say } from "./elements.js";
import { TrendChart } from "./trend_chart.js";

/** Fill a list with one bar per class; return a function that sets their shares. */
export function bars(list: HTMLElement): (shares: readonly number[]) => void {
  list.replaceChildren();
  const rows = EMOTIONS.map((name) => {
    const row = document.createElement("li");
    const [label, track, fill, share] = ["span", "span", "span", "span"].map((tag) => document.createElement(tag)) as [
      HTMLElement,
      HTMLElement,
      HTMLElement,
      HTMLElement,
    ];
    label.textContent = name;
    track.className = "track";
    track.setAttribute("aria-hidden", "true");
    fill.className = "fill";
    fill.style.background = COLOURS[name]!;
    share.className = "share";
    track.append(fill);
    row.append(label, track, share);
    list.append(row);
    return { row, fill, share };
  });
  return (shares) => {
    rows.forEach(({ row, fill, share }, k) => {
      const value = shares[k]!;
      fill.style.transform = `scaleX(${value})`;
      const text = percent(value);
      if (share.textContent !== text) share.textContent = text;
      row.classList.toggle("none", value === 0);
    });
  };
}

/** Format a number from -1 to 1 with its sign; a dash if there is none. */
export function signed(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "-";
  return `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(2)}`;
}

export class Panel {
  private readonly setBars = bars(element("bars"));
  private readonly trend: TrendChart;

  constructor(trendWindow_s: number) {
    this.trend = new TrendChart(trendWindow_s);
    this.setBars(EMOTIONS.map(() => 0));
  }

  /** Remove the numbers of a session that has ended. */
  clear(): void {
    this.setBars(EMOTIONS.map(() => 0));
    this.trend.clear();
    say("now-label", "-");
    say("now-share", "");
    element("swatch").style.background = "";
    for (const id of ["facing", "valence", "arousal", "presence", "coverage", "elapsed", "fps", "captured-fps", "faces"]) say(id, "-");
  }

  show(reading: Reading): void {
    this.setBars(reading.distribution);
    this.trend.show(reading.trend);
    const face = nearest(reading.result);
    const read = face !== null && !face.unread;
    say("now-label", face === null ? "no face in view" : face.unread ? `not read: ${face.unread}` : face.label + (face.uncertain ? "?" : ""));
    say("now-share", read ? percent(face.confidence) : "");
    element("swatch").style.background = read ? COLOURS[face.label]! : "";
    const facing = reading.facingNow === null ? "-" : reading.facingNow ? "yes" : "no";
    say("facing", Number.isNaN(reading.facingShare) ? facing : `${facing}, ${percent(reading.facingShare)}`);
    say("valence", signed(reading.affect.valence));
    say("arousal", signed(reading.affect.arousal));
    say("presence", percent(reading.presence));
    say("coverage", percent(reading.coverage));
    say("elapsed", clock(reading.elapsed_s));
    say("fps", reading.processedFps.toFixed(1));
    say("captured-fps", reading.capturedFps.toFixed(1));
    say("faces", String(reading.result.faces.length));
  }
}
