// Elements of the document, and numbers as text.

const SVG_NAMES = ["svg", "g", "line", "path", "text", "title"];
const byId = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const decimal = (value) => (value === null ? "" : value.toFixed(4));

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
  const headerCells = headers.map((header) => make("th", { scope: "col" }, header));
  const bodyRows = rows.map(([header, ...cells]) =>
    make("tr", {}, make("th", { scope: "row" }, header), ...cells.map((cell) => make("td", {}, cell))));
  table.replaceChildren(
    make("thead", {}, make("tr", {}, ...headerCells)), make("tbody", {}, ...bodyRows));
}

/** Seconds as "1 min 15 s". */
function duration(seconds) {
  const minutes = Math.floor(seconds / 60), rest = Math.round(seconds % 60);
  return [minutes && `${minutes} min`, (rest || !minutes) && `${rest} s`].filter(Boolean).join(" ");
}

/** A sentence on the best variant of the ranking, beside the best published accuracy. */
function summary({ ranking: [best, ...others], test_images, confidence }) {
  const published = Math.max(...[best, ...others].map((row) => row.published_accuracy ?? 0));
  const time = best.seconds ? ` after ${duration(best.seconds)} of training on ${best.machine}` : "";
  const study = published ? `; the best published accuracy of the study is ${percent(published)}` : "";
  return `${best.variant} classifies ${percent(best.accuracy)} of ${test_images.toLocaleString("en")} `
    + `test images correctly (${+(100 * confidence).toFixed(6)} % interval `
    + `${percent(best.accuracy_low)} to ${percent(best.accuracy_high)})${time}${study}.`;
}
