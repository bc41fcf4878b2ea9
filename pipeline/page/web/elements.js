// Elements of the document: tables, charts as SVG, and numbers as text.

const SVG_NAMES = ["svg", "path", "text"];
const byId = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const duration = (seconds) => `${(seconds / 60).toFixed(1)} min`;
const decimal = (value) => value?.toFixed(4) ?? "";

/** An element with attributes and children; attributes `on…` are event listeners. */
function make(name, attributes = {}, ...children) {
  const element = SVG_NAMES.includes(name)
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Fills a table; the first cell of each row is its header. */
function fillTable(id, headers, rows) {
  const bodyRows = rows.map(([header, ...cells]) => make("tr", {},
    make("th", { scope: "row" }, header), ...cells.map((cell) => make("td", {}, cell))));
  const head = make("tr", {}, ...headers.map((header) => make("th", { scope: "col" }, header)));
  byId(id).replaceChildren(make("thead", {}, head), make("tbody", {}, ...bodyRows));
}

/** Makes a grid of buttons one tab stop; arrow keys move the focus, by `columns` up and down. */
function moveFocusByArrows(grid, columns) {
  const buttons = [...grid.querySelectorAll("button")];
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  buttons.forEach((button, number) => {
    button.tabIndex = number ? -1 : 0;
    button.addEventListener("keydown", (event) => {
      const next = buttons[number + steps[event.key]];
      if (!next) return;
      event.preventDefault();
      button.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  });
}

const WIDTH = 720, HEIGHT = 400, LEFT = 62, RIGHT = WIDTH - 18, TOP = 24, BOTTOM = HEIGHT - 48;

const text = (x, y, anchor, content) => make("text", { x, y, "text-anchor": anchor }, content);
const line = (points, style) => make("path", { d: `M${points.join("L")}`, ...style });

/** Linear axis over `values`, with a margin below and above and about five round ticks. */
function linearAxis(label, values, format = (value) => +value.toFixed(2)) {
  const margin = 0.04 * (Math.max(...values) - Math.min(...values)) + 0.002;
  const low = Math.min(...values) - margin, high = Math.max(...values) + margin;
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((size) => size >= rough);
  const ticks = [];
  for (let n = Math.ceil(low / step); n * step <= high; n++) ticks.push(n * step);
  return { label, format, ticks, share: (value) => (value - low) / (high - low) };
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

/** Labelled points [name, x, y]. */
function drawScatter(xLabel, yLabel, points) {
  const x = linearAxis(xLabel, [0, 1.15 * Math.max(...points.map((point) => point[1]))]);
  const { svg, place } = drawAxes(x, linearAxis(yLabel, points.map((point) => point[2]), percent));
  for (const [name, ...values] of points) {
    const [left, top] = place(...values);
    svg.append(text(left, top + 5, "middle", "●"), text(left + 9, top + 4, "start", name));
  }
  return svg;
}

/** A line of training and a dashed one of validation; the latter may be null in all epochs. */
function drawCurves(label, ...curves) {
  const shown = curves.filter((values) => values[0] !== null);
  const epochs = linearAxis("epoch", [0, curves[0].length]);
  const { svg, place } = drawAxes(epochs, linearAxis(label, shown.flat()));
  for (const [number, values] of shown.entries()) {
    const points = values.map((value, i) => place(i + 1, value));
    svg.append(line(points, number ? { class: "validation", "stroke-dasharray": "7 4" } : {}));
  }
  return svg;
}
