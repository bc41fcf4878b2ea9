// Pictures of numbers, as SVG. Lines differ by dash and mark too, so that grey is enough.

const DASHES = ["", "7 4", "8 3 2 3", "2 3", "12 3", "5 2 1 2", "14 4"]; // with the marks 56 looks
const MARKS = ["circle", "square", "triangle", "diamond"];

/** An element with attributes and children; `on…` attributes are listeners. */
function make(name, attributes = {}, ...children) {
  const svg = ["svg", "g", "line", "path", "text", "title", "rect"].includes(name);
  const element = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** The path of a mark of `radius` around (x, y). */
function mark(kind, x, y, radius) {
  const r = radius, moves = {
    circle: `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
    square: `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
    triangle: `M${x} ${y - r}l${r} ${2 * r}h${-2 * r}z`,
    diamond: `M${x} ${y - r * 1.3}l${r} ${r * 1.3}l${-r} ${r * 1.3}l${-r} ${-r * 1.3}z`,
  };
  return moves[kind];
}

const look = (number) => ({
  dash: DASHES[number % DASHES.length],
  mark: MARKS[number % MARKS.length],
  hollow: number % (2 * MARKS.length) >= MARKS.length,
});

/** A short line as `look(number)` draws it, for legends. */
function sample(number) {
  const { dash, mark: kind, hollow } = look(number);
  return make("svg", { viewBox: "0 0 44 14", width: 44, height: 14, "aria-hidden": "true" },
    make("line", { x1: 1, x2: 43, y1: 7, y2: 7, class: "line", "stroke-dasharray": dash }),
    make("path", { d: mark(kind, 22, 7, 4), class: hollow ? "hollow" : "mark" }));
}

/** Round numbers between `low` and `high`, about five. */
function ticks(low, high) {
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((size) => size >= rough);
  const found = [];
  for (let n = Math.ceil(low / step); n * step <= high + step / 1e6; n++) found.push(n * step);
  return found;
}

const WIDTH = 720, HEIGHT = 400, LEFT = 62, RIGHT = 18, TOP = 14, BOTTOM = 48;

/**
 * Axes for points in [low, high] of x and of y, each {low, high, ticks, tell, label, log}; returns
 * the SVG element and where a value lies.
 */
function axes(name, x, y) {
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": name });
  const share = ({ low, high, log }, value) =>
    log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  const across = (value) => LEFT + share(x, value) * (WIDTH - LEFT - RIGHT);
  const up = (value) => HEIGHT - BOTTOM - share(y, value) * (HEIGHT - TOP - BOTTOM);
  for (const value of x.ticks) {
    svg.append(make("line", { x1: across(value), x2: across(value), y1: TOP, y2: HEIGHT - BOTTOM, class: "grid" }),
      make("text", { x: across(value), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, x.tell(value)));
  }
  for (const value of y.ticks) {
    svg.append(make("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: up(value), y2: up(value), class: "grid" }),
      make("text", { x: LEFT - 8, y: up(value) + 4, "text-anchor": "end" }, y.tell(value)));
  }
  svg.append(
    make("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, x.label),
    make("text", { transform: `translate(15 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)`, "text-anchor": "middle" }, y.label));
  return { svg, across, up };
}

/** Points {name, x, y, hollow, told} with their names beside them, where no other point or name is. */
function scatter(name, x, y, points) {
  const { svg, across, up } = axes(name, x, y), high = 14;
  const placed = points.map((point) => ({ ...point, left: across(point.x), top: up(point.y) }));
  const taken = placed.map(({ left, top }) => [left - 6, top - 6, left + 6, top + 6]);
  for (const { name: label, left, top, hollow, told } of placed) {
    const wide = 7.2 * label.length;
    const boxes = [0, -high, high, -2 * high, 2 * high].flatMap((down) =>
      [left + 9, left - 9 - wide].map((start) => [start, top + down - 7, start + wide, top + down + 7]));
    const fits = ([l, t, r, b]) => l > LEFT && r < WIDTH
      && taken.every(([otherL, otherT, otherR, otherB]) => r < otherL || l > otherR || b < otherT || t > otherB);
    const box = boxes.find(fits) ?? boxes[0];
    taken.push(box);
    svg.append(make("g", {},
      make("title", {}, told),
      make("path", { d: mark(hollow ? "diamond" : "circle", left, top, 5), class: hollow ? "hollow" : "mark" }),
      make("text", { x: box[0], y: box[3] - 3 }, label)));
  }
  return svg;
}

/** Lines {name, number, values} over epochs 1, 2, …; `point(epoch)` hears where the pointer is. */
function curves(name, y, lines, point) {
  const most = Math.max(2, ...lines.map((line) => line.values.length));
  const x = { low: 0, high: most, ticks: ticks(0, most).filter(Number.isInteger), tell: String, label: "epoch" };
  const { svg, across, up } = axes(name, x, y);
  for (const { number, values } of lines) {
    const { dash, mark: kind, hollow } = look(number), every = Math.ceil(values.length / 6);
    const places = values.map((value, i) => [across(i + 1), value === null ? null : up(value)]);
    const known = places.filter(([, height]) => height !== null);
    svg.append(make("path", { d: known.map((p, i) => `${i ? "L" : "M"}${p.join(" ")}`).join(""), class: "line", "stroke-dasharray": dash }));
    known.filter((_, i) => i % every === number % every || known.length === 1).forEach((p) =>
      svg.append(make("path", { d: mark(kind, ...p, 4), class: hollow ? "hollow" : "mark" })));
  }
  const guide = make("line", { y1: TOP, y2: HEIGHT - BOTTOM, class: "guide" });
  const show = (epoch) => {
    const place = across(epoch);
    guide.setAttribute("x1", place);
    guide.setAttribute("x2", place);
    svg.append(guide);
    point(epoch);
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * WIDTH;
    const epoch = Math.round(((place - LEFT) / (WIDTH - LEFT - RIGHT)) * most);
    show(Math.min(most, Math.max(1, epoch)));
  });
  return { svg, show, most };
}
