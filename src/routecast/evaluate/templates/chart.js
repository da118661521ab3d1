"use strict";
// Drawing in SVG and printing of numbers. The rules of printing are those of report_format.py.

const SVG = "http://www.w3.org/2000/svg";
const UNDEFINED = "–";

function fixed(value, digits) {
  if (value === null || !Number.isFinite(value)) return UNDEFINED;
  const [whole, decimals] = Math.abs(value).toFixed(digits).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",") + (decimals ? "." + decimals : "");
  return (value < 0 && /[1-9]/.test(grouped) ? "−" : "") + grouped;
}

function percent(share, digits = 1) {
  const text = fixed(share === null ? null : 100 * share, digits);
  return text === UNDEFINED ? text : text + "%";
}

function dollars(amount, digits) {
  if (amount === null || !Number.isFinite(amount)) return UNDEFINED;
  const text = fixed(Math.abs(amount), digits);
  return (amount < 0 && /[1-9]/.test(text) ? "−$" : "$") + text;
}

function scoreText(score, isProbability) {
  if (score === null) return UNDEFINED;
  return isProbability ? fixed(score, 4) : String(Number(score.toPrecision(6))).replace("-", "−");
}

function element(name, attributes = {}, text = null) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  return node;
}

// About `count` round numbers that lie in [low, high].
function ticks(low, high, count) {
  const rough = (high - low) / Math.max(count, 1);
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((unit) => unit * power).find((one) => one >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) found.push(k * step);
  return found;
}

function tickDigits(values) {
  const step = values.length > 1 ? values[1] - values[0] : 1;
  return Math.min(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), 8);
}

// Axes, grid and labels. Returns the two scales, from values to pixels, and the plot's box.
function frame(svg, { x, y }) {
  svg.replaceChildren();
  const width = svg.clientWidth || 600, height = svg.clientHeight || 320;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const box = { left: 58, right: width - 14, top: 14, bottom: height - 46 };
  const scale = (axis, from, to) => (value) => from + ((value - axis.low) / (axis.high - axis.low || 1)) * (to - from);
  const px = scale(x, box.left, box.right), py = scale(y, box.bottom, box.top);
  const xs = ticks(x.low, x.high, (box.right - box.left) / 90), ys = ticks(y.low, y.high, (box.bottom - box.top) / 55);
  for (const tick of ys) {
    svg.append(element("line", { class: "grid", x1: box.left, x2: box.right, y1: py(tick), y2: py(tick) }));
    svg.append(element("text", { x: box.left - 8, y: py(tick) + 4, "text-anchor": "end" }, y.print(tick, tickDigits(ys))));
  }
  for (const tick of xs) {
    svg.append(element("line", { class: "axis", x1: px(tick), x2: px(tick), y1: box.bottom, y2: box.bottom + 4 }));
    svg.append(element("text", { x: px(tick), y: box.bottom + 18, "text-anchor": "middle" }, x.print(tick, tickDigits(xs))));
  }
  svg.append(element("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
  const middle = (box.left + box.right) / 2, centre = (box.top + box.bottom) / 2;
  svg.append(element("text", { class: "axis-label", x: middle, y: height - 6, "text-anchor": "middle" }, x.label));
  svg.append(element("text", { class: "axis-label", x: 0, y: 0, "text-anchor": "middle", transform: `translate(13 ${centre}) rotate(-90)` }, y.label));
  return { px, py, box };
}

function path(points, px, py) {
  return points.map(([x, y], k) => `${k ? "L" : "M"}${px(x).toFixed(2)} ${py(y).toFixed(2)}`).join("");
}

// Shapes for the marks of a series: with its dashes they tell curves apart without colour.
const MARKS = [
  (x, y, r) => element("circle", { cx: x, cy: y, r }),
  (x, y, r) => element("rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r }),
  (x, y, r) => element("path", { d: `M${x} ${y - 1.3 * r}L${x + 1.2 * r} ${y + r}H${x - 1.2 * r}Z` }),
  (x, y, r) => element("path", { d: `M${x} ${y - 1.4 * r}L${x + 1.4 * r} ${y}L${x} ${y + 1.4 * r}L${x - 1.4 * r} ${y}Z` }),
  (x, y, r) => element("path", { d: `M${x} ${y + 1.3 * r}L${x + 1.2 * r} ${y - r}H${x - 1.2 * r}Z` }),
  (x, y, r) => element("path", { d: `M${x - r} ${y - r}L${x + r} ${y + r}M${x - r} ${y + r}L${x + r} ${y - r}` }),
];
const DASHES = ["", "9 4", "2 3", "11 4 2 4", "5 3", "14 3 3 3 3 3"];
const BASELINE_DASHES = ["6 3", "8 3 1 3", "4 2 1 2 1 2", "4 2"];
const RANDOM_DASH = "1.5 3";

function addMark(svg, style, x, y, r = 4) {
  const mark = MARKS[style.mark](x, y, r);
  mark.setAttribute("class", "mark");
  mark.style.setProperty("--c", style.color);
  svg.append(mark);
}

function addLine(svg, style, d) {
  const line = element("path", { class: style.baseline ? "series baseline" : "series", d, "stroke-dasharray": style.dash });
  line.style.setProperty("--c", style.color);
  svg.append(line);
  return line;
}

// Linear interpolation, as numpy.interp; `xs` ascends.
function interpolate(x, xs, ys) {
  let low = 0, high = xs.length - 1;
  if (x >= xs[high]) return ys[high];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle; else high = middle;
  }
  if (ys[low] === null || ys[low + 1] === null) return null;
  return ((ys[low + 1] - ys[low]) / (xs[low + 1] - xs[low])) * (x - xs[low]) + ys[low];
}
