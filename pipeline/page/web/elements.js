// Elements of the document, and numbers as text.

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
