// Charts as SVG. Lines differ by dashes and markers too, so that they are told apart in grey.

const DASHES = ["", "7 4", "8 3 2 3", "2 3", "12 3", "5 2 1 2", "14 4"];
const MARKERS = ["●", "■", "▲", "◆", "○", "□", "△", "◇"];
const WIDTH = 720, HEIGHT = 400, LEFT = 62, RIGHT = WIDTH - 18, TOP = 14, BOTTOM = HEIGHT - 48;

const dash = (number) => DASHES[number % DASHES.length];
const marker = (number) => MARKERS[number % MARKERS.length];
const text = (x, y, anchor, content) => make("text", { x, y, "text-anchor": anchor }, content);
const line = (x1, y1, x2, y2, attributes) => make("line", { x1, y1, x2, y2, ...attributes });

/** A piece of a variant's line, for the legend. */
const legendKey = (number) => make("svg", { viewBox: "0 0 44 14", width: 44, height: 14, "aria-hidden": "true" },
  line(1, 7, 43, 7, { class: "line", "stroke-dasharray": dash(number) }), text(22, 12, "middle", marker(number)));

/** About five round numbers from `low` to `high`. */
function ticks(low, high) {
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((size) => size >= rough);
  const first = Math.ceil(low / step), count = Math.floor(high / step + 1e-6) - first + 1;
  return Array.from({ length: count }, (_, n) => (first + n) * step);
}

/** Linear axis over `values`. */
function linearAxis(label, values, format = (value) => value.toFixed(2)) {
  const low = Math.min(...values), high = Math.max(...values, low + 0.01);
  return { label, format, ticks: ticks(low, high), share: (value) => (value - low) / (high - low) };
}

/** Logarithmic axis over seconds. */
function timeAxis(label, values) {
  const low = Math.min(...values) / 1.3, high = Math.max(...values) * 1.5;
  const round = [1, 3, 10, 30, 60, 120, 300, 600, 1200, 3600, 10800];
  const share = (value) => Math.log(value / low) / Math.log(high / low);
  return { label, format: duration, ticks: round.filter((value) => value > low && value < high), share };
}

/** The SVG element with both axes, and the scales of x and y. */
function drawAxes(x, y) {
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${y.label} by ${x.label}` });
  const scaleX = (value) => LEFT + x.share(value) * (RIGHT - LEFT);
  const scaleY = (value) => BOTTOM - y.share(value) * (BOTTOM - TOP);
  for (const value of x.ticks) {
    const left = scaleX(value);
    svg.append(line(left, TOP, left, BOTTOM, { class: "grid" }), text(left, BOTTOM + 18, "middle", x.format(value)));
  }
  for (const value of y.ticks) {
    const top = scaleY(value);
    svg.append(line(LEFT, top, RIGHT, top, { class: "grid" }), text(LEFT - 8, top + 4, "end", y.format(value)));
  }
  svg.append(text((LEFT + RIGHT) / 2, HEIGHT - 8, "middle", x.label), text(0, 11, "start", y.label));
  return { svg, scaleX, scaleY };
}

/** Points {name, x, y, marker, title}, each with its name where it covers no other. */
function drawScatter(xLabel, yLabel, points) {
  const { svg, scaleX, scaleY } = drawAxes(
    timeAxis(xLabel, points.map((point) => point.x)), linearAxis(yLabel, points.map((point) => point.y)));
  const taken = points.map(({ x, y }) => [scaleX(x) - 6, scaleY(y) - 6, scaleX(x) + 6, scaleY(y) + 6]);
  const isFree = ([left, top, right, bottom]) => left > LEFT && right < WIDTH
    && taken.every((box) => right < box[0] || left > box[2] || bottom < box[1] || top > box[3]);
  for (const { name, title, x, y, marker: shape } of points) {
    const left = scaleX(x), top = scaleY(y), width = 7.2 * name.length;
    const boxes = [0, -14, 14, -28, 28].flatMap((down) => [left + 9, left - 9 - width]
      .map((start) => [start, top + down - 7, start + width, top + down + 7]));
    const box = boxes.find(isFree) ?? boxes[0];
    taken.push(box);
    svg.append(make("g", {}, make("title", {}, title),
      text(left, top + 5, "middle", shape), text(box[0], box[3] - 3, "start", name)));
  }
  return svg;
}

/** Lines {number, values} over the epochs; `onEpoch` is called with the one under the pointer. */
function drawCurves(label, lines, onEpoch) {
  const epochs = Math.max(2, ...lines.map(({ values }) => values.length));
  const known = lines.flatMap(({ values }) => values).filter((value) => value !== null);
  const { svg, scaleX, scaleY } = drawAxes(linearAxis("epoch", [0, epochs], String), linearAxis(label, known));
  for (const { number, values } of lines) {
    const points = values.flatMap((value, i) => (value === null ? [] : [[scaleX(i + 1), scaleY(value)]]));
    const spacing = Math.ceil(points.length / 6);
    const marked = points.filter((_, i) => i % spacing === number % spacing);
    svg.append(make("path", { d: `M${points.join("L")}`, class: "line", "stroke-dasharray": dash(number) }),
      ...marked.map(([left, top]) => text(left, top + 5, "middle", marker(number))));
  }
  const guide = svg.appendChild(line(0, TOP, 0, BOTTOM, { class: "guide" }));
  const show = (epoch) => {
    guide.setAttribute("transform", `translate(${scaleX(epoch)})`);
    onEpoch(epoch);
  };
  svg.addEventListener("pointermove", ({ clientX }) => {
    const box = svg.getBoundingClientRect(), place = ((clientX - box.left) / box.width) * WIDTH;
    const epoch = Math.round(((place - LEFT) / (RIGHT - LEFT)) * epochs);
    show(Math.min(epochs, Math.max(1, epoch)));
  });
  return { svg, show, epochs };
}
