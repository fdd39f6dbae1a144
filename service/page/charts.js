// Charts in SVG that fit any width: lengths across are percentages, so text keeps its size. Each has a table beside it.

import { drawn, element, table } from "./dom.js";

const ROW = 40;

/** A chart with its title, and the same numbers as a table. */
export function figure(title, note, chart, headings, rows) {
  return element(
    "figure", { class: "panel" },
    element("figcaption", {}, element("h2", {}, title), element("p", { class: "hint" }, note)),
    chart,
    element("details", {}, element("summary", {}, "As a table"), table(title, headings, rows)),
  );
}

/** Bars across. `rows`: [label, value, text]; `most`: the value of a whole width. */
export function bars(title, rows, most = Math.max(...rows.map(([, value]) => value))) {
  const chart = drawn("svg", { class: "chart", width: "100%", height: ROW * rows.length, role: "img", "aria-label": title });
  rows.forEach(([label, value, text], index) => {
    const top = ROW * index;
    const length = most > 0 ? Math.max(0.4, (100 * value) / most) : 0;
    chart.append(
      drawn("text", { x: 0, y: top + 15 }, label),
      drawn("text", { x: "100%", y: top + 15, "text-anchor": "end", class: "value" }, text),
      drawn("rect", { class: "track", x: 0, y: top + 22, width: "100%", height: 9, rx: 4.5 }),
      drawn("rect", { class: "fill", x: 0, y: top + 22, width: `${Math.min(100, length)}%`, height: 9, rx: 4.5 }),
    );
  });
  return chart;
}

/** Points joined by lines, one a stage. `rows`: [label, value, text]. The axis spans the values, not zero. */
export function path(title, rows) {
  const values = rows.map(([, value]) => value);
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const x = (index) => (100 * (index + 0.5)) / rows.length;
  const y = (value) => 110 - (75 * (value - low)) / span;
  const chart = drawn("svg", { class: "chart", width: "100%", height: 150, role: "img", "aria-label": title });
  rows.slice(1).forEach(([, value], index) => {
    const ends = { x1: `${x(index)}%`, y1: y(values[index]), x2: `${x(index + 1)}%`, y2: y(value) };
    chart.append(drawn("line", { class: "join", ...ends }));
  });
  rows.forEach(([label, value, text], index) => {
    const middle = { x: `${x(index)}%`, "text-anchor": "middle" };
    chart.append(
      drawn("circle", { class: "point", cx: middle.x, cy: y(value), r: 5 }),
      drawn("text", { ...middle, y: y(value) - 12, class: "value above" }, text),
      drawn("text", { ...middle, y: 142, class: "tick" }, label),
    );
  });
  return chart;
}

/** Upright bars, one a run, in the order of the runs. */
export function runs(title, values) {
  const chart = drawn("svg", { class: "chart", width: "100%", height: 90, role: "img", "aria-label": title });
  const most = Math.max(...values);
  values.forEach((value, index) => {
    const height = Math.max(2, (84 * value) / most);
    const place = { x: `${(100 * index) / values.length}%`, width: `${80 / values.length}%` };
    chart.append(drawn("rect", { class: "fill", ...place, y: 88 - height, height, rx: 2 }));
  });
  return chart;
}

/** Parts of one whole in a row. `parts`: [class, value]. */
export function parts(title, shares) {
  const total = shares.reduce((sum, [, value]) => sum + value, 0) || 1;
  const chart = drawn("svg", { class: "chart parts", width: "100%", height: 14, role: "img", "aria-label": title });
  let from = 0;
  for (const [kind, value] of shares) {
    const width = (100 * value) / total;
    chart.append(drawn("rect", { class: kind, x: `${from}%`, y: 0, width: `${width}%`, height: 14 }));
    from += width;
  }
  return chart;
}
