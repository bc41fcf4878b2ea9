// Charts as SVG. Lines differ by dashes and markers, so that they are distinct without colours.

const DASHES = ["", "7 4", "8 3 2 3", "2 3", "12 3", "5 2 1 2", "14 4"];
const MARKERS = ["●", "■", "▲", "◆", "○", "□", "△", "◇"];
const WIDTH = 720, HEIGHT = 400, LEFT = 62, RIGHT = WIDTH - 18, TOP = 24, BOTTOM = HEIGHT - 48;

const text = (x, y, anchor, content) => make("text", { x, y, "text-anchor": anchor }, content);
const marker = (x, y, number) => text(x, y + 5, "middle", MARKERS[number % MARKERS.length]);
const line = (points, style) => make("path", { d: `M${points.join("L")}`, ...style });
const curve = (points, number) =>
  line(points, { class: "line", "stroke-dasharray": DASHES[number % DASHES.length] });

/** A piece of a variant's line, for the legend. */
const legendKey = (number) => make("svg", { width: 44, height: 14, "aria-hidden": "true" },
  curve([[1, 7], [43, 7]], number), marker(22, 7, number));

/** Linear axis over `values`, with about five ticks at round numbers. */
function linearAxis(label, values, format) {
  const low = Math.min(...values), high = Math.max(...values, low + 0.01), rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((size) => size >= rough);
  const ticks = [];
  for (let n = Math.ceil(low / step); n * step <= high * (1 + 1e-6); n++) ticks.push(n * step);
  return { label, format, ticks, share: (value) => (value - low) / (high - low) };
}

/** Logarithmic axis over seconds. */
function timeAxis(label, values) {
  const low = Math.min(...values) / 1.3, high = Math.max(...values) * 1.5;
  const ticks = [1, 3, 10, 30, 60, 120, 300, 600, 1200, 3600, 10800];
  const share = (value) => Math.log(value / low) / Math.log(high / low);
  return { label, format: duration, share, ticks: ticks.filter((t) => t > low && t < high) };
}

/** The SVG element with both axes, and a function from values to its coordinates. */
function drawAxes(x, y) {
  const label = `${y.label} by ${x.label}`;
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  const place = (a, b) =>
    [LEFT + x.share(a) * (RIGHT - LEFT), BOTTOM - y.share(b) * (BOTTOM - TOP)];
  for (const value of x.ticks) {
    const [left] = place(value, 0);
    svg.append(line([[left, TOP], [left, BOTTOM]], { class: "grid" }),
      text(left, BOTTOM + 18, "middle", x.format(value)));
  }
  for (const value of y.ticks) {
    const [, top] = place(1, value);
    svg.append(line([[LEFT, top], [RIGHT, top]], { class: "grid" }),
      text(LEFT - 8, top + 4, "end", y.format(value)));
  }
  svg.append(text(WIDTH / 2, HEIGHT - 8, "middle", x.label), text(0, 12, "start", y.label));
  return { svg, place };
}

/** Points {name, x, y, number, title}, labelled: 110 by 14 pixels, moved down to cover no other. */
function drawScatter(xLabel, yLabel, points) {
  const x = timeAxis(xLabel, points.map((point) => point.x)), labels = [];
  const y = linearAxis(yLabel, points.map((point) => point.y), percent);
  const { svg, place } = drawAxes(x, y);
  for (const point of points.toSorted((a, b) => b.y - a.y)) {
    const [left, top] = place(point.x, point.y), isRight = left > RIGHT - 110;
    let below = top;
    while (labels.some(([x, y]) => Math.abs(x - left) < 110 && Math.abs(y - below) < 14)) below++;
    labels.push([left, below]);
    svg.append(make("g", {}, make("title", {}, point.title), marker(left, top, point.number),
      text(left + (isRight ? -9 : 9), below + 4, isRight ? "end" : "start", point.name)));
  }
  return svg;
}

/** Lines {number, values} over the epochs. */
function drawCurves(label, lines) {
  const epochs = Math.max(2, ...lines.map(({ values }) => values.length));
  const y = linearAxis(label, lines.flatMap(({ values }) => values), (value) => value.toFixed(2));
  const { svg, place } = drawAxes(linearAxis("epoch", [0, epochs], String), y);
  for (const { number, values } of lines) {
    const points = values.map((value, i) => place(i + 1, value));
    const spacing = Math.ceil(points.length / 6);
    const marked = points.filter((_, i) => i % spacing === number % spacing);
    svg.append(curve(points, number), ...marked.map((point) => marker(...point, number)));
  }
  return svg;
}
