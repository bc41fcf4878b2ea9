// Elements of the document, and numbers as text.

const SVG_NAMES = ["svg", "g", "line", "path", "text", "title"];
const byId = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
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
function fillTable(table, headers, rows) {
  const bodyRows = rows.map(([header, ...cells]) => make("tr", {},
    make("th", { scope: "row" }, header), ...cells.map((cell) => make("td", {}, cell))));
  const head = make("tr", {}, ...headers.map((header) => make("th", { scope: "col" }, header)));
  table.replaceChildren(make("thead", {}, head), make("tbody", {}, ...bodyRows));
}

/** Seconds as "1 min 15 s". */
function duration(seconds) {
  const total = Math.round(seconds), minutes = Math.floor(total / 60), rest = total % 60;
  return [minutes && `${minutes} min`, (rest || !minutes) && `${rest} s`].filter(Boolean).join(" ");
}
