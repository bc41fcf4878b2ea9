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

const isShortcut = (event) => event.altKey || event.ctrlKey || event.metaKey; // of the browser

/** Makes a grid of buttons one tab stop; arrow keys move the focus, by `columns` up and down. */
function moveFocusByArrows(grid, columns) {
  const buttons = [...grid.querySelectorAll("button")];
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  const setStop = (stop) => {
    for (const button of buttons) button.tabIndex = button === stop ? 0 : -1;
  };
  setStop(buttons[0]);
  buttons.forEach((button, number) => {
    button.addEventListener("focus", () => setStop(button)); // by a click, too
    button.addEventListener("keydown", (event) => {
      const next = buttons[number + steps[event.key]];
      if (!next || isShortcut(event)) return;
      event.preventDefault();
      next.focus();
    });
  });
}

const WIDTH = 720, HEIGHT = 400, LEFT = 62, RIGHT = WIDTH - 18, TOP = 24, BOTTOM = HEIGHT - 48;

const text = (x, y, anchor, content) => make("text", { x, y, "text-anchor": anchor }, content);
const line = (points, style) => make("path", { d: `M${points.join("L")}`, ...style });

/** Axis from `start` to `end` over `values`, with a margin, and about five round ticks. */
function linearAxis(values, start, end) {
  const margin = 0.04 * (Math.max(...values) - Math.min(...values)) + 0.002;
  const low = Math.min(...values) - margin, high = Math.max(...values) + margin;
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((size) => size >= rough);
  const ticks = [];
  for (let n = Math.ceil(low / step); n * step <= high; n++) ticks.push(+(n * step).toPrecision(6));
  return { ticks, place: (value) => start + ((value - low) / (high - low)) * (end - start) };
}

/** A line of training and a dashed one of validation; the latter may be null in all epochs. */
function drawCurves(label, ...curves) {
  const shown = curves.filter((values) => values[0] !== null);
  const x = linearAxis([0, curves[0].length], LEFT, RIGHT);
  const y = linearAxis(shown.flat(), BOTTOM, TOP);
  const columns = x.ticks.flatMap((tick) => [
    line([[x.place(tick), TOP], [x.place(tick), BOTTOM]], { class: "grid" }),
    text(x.place(tick), BOTTOM + 18, "middle", tick)]);
  const rows = y.ticks.flatMap((tick) => [
    line([[LEFT, y.place(tick)], [RIGHT, y.place(tick)]], { class: "grid" }),
    text(LEFT - 8, y.place(tick) + 4, "end", tick)]);
  const lines = shown.map((values, number) =>
    line(values.map((value, i) => [x.place(i + 1), y.place(value)]),
      number ? { class: "validation", "stroke-dasharray": "7 4" } : {}));
  return make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${label} by epoch` },
    ...columns, ...rows, text(WIDTH / 2, HEIGHT - 8, "middle", "epoch"), text(0, 12, "start", label),
    ...lines);
}
