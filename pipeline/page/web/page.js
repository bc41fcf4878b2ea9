// The sections of the page, and the classification of pictures.

const data = JSON.parse(byId("data").textContent), { network, ranking } = data;
const names = ranking.map((row) => row.variant);

const sheets = {}; // Blobs: Chromium drops CSS values as long as their data
for (const name of ["samples", "examples"]) {
  sheets[name] = new Blob([decodeBase64(data[name].data)], { type: data[name].mime });
  document.documentElement.style.setProperty(`--${name}`, `url("${URL.createObjectURL(sheets[name])}")`);
}

/** Left and top edge of an image of a sheet, in pixels. */
const tileCorner = ({ columns, side }, place) => [(place % columns) * side, Math.floor(place / columns) * side];

/** CSS that shows an image of a sheet, `shown` pixels large; magnified pixels are squares. */
function tileStyle(sheet, place, shown) {
  const { side } = data[sheet], [left, top] = tileCorner(data[sheet], place);
  return `width: ${side}px; height: ${side}px; zoom: ${shown / side}; background: var(--${sheet}) `
    + `${-left}px ${-top}px; image-rendering: ${side < shown ? "pixelated" : "auto"}`;
}

// Classification.

const MAX_CLASSES = 20; // listed in an answer
let predict; // loaded after the first paint, or by an earlier picture

/** Shows the model input `image` and its most probable classes. */
function classify(image, name) {
  const [height, width] = image.shape, canvas = Object.assign(byId("input"), { width, height });
  canvas.getContext("2d").putImageData(new ImageData(image.pixels, width, height), 0, 0);
  canvas.ariaLabel = `${name} as the network sees it`;
  const start = performance.now();
  predict ??= loadNetwork(network);
  const probabilities = predict(image), seconds = (performance.now() - start) / 1000;
  const order = data.classes.map((_, k) => k).sort((a, b) => probabilities[b] - probabilities[a]);
  const answer = `, predicts ${network.variant} for ${name}, in ${seconds.toFixed(2)} s`;
  const doubt = probabilities[order[0]] < network.unlikely ? "None of these looks likely." : "";
  byId("prediction").replaceChildren(
    make("p", {}, make("strong", {}, data.classes[order[0]]), answer), make("p", {}, doubt),
    ...order.slice(0, MAX_CLASSES).map((k) => make("div", { class: "class" },
      make("span", {}, data.classes[k]),
      make("meter", { value: probabilities[k], "aria-label": data.classes[k] }),
      make("span", {}, percent(probabilities[k])))));
}

let requests = 0; // a result that comes after a later request is dropped

/** Classifies the image that `load` resolves to, or shows why there is none. */
async function answer(load, name) {
  const request = ++requests;
  byId("try").scrollIntoView({ block: "nearest" });
  byId("status").textContent = "Looking …";
  const [image, problem] = await load().then((image) => [image, ""], (error) => [null, error.message]);
  if (request !== requests) return;
  byId("status").textContent = problem;
  if (image) classify(image, name);
}

/** Classifies a file that was dropped, pasted or chosen; other things are left alone. */
function answerFile([file]) {
  const load = async () => resizeBitmap(await decodePhoto(file, network.max_pixels), data.side, data.crop_mode);
  if (file) answer(load, file.name || "the picture");
}

function listen() {
  for (const input of document.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => {
      answerFile(input.files);
      input.value = ""; // so that the same file can be chosen again
    });
  }
  for (const type of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(type, (event) => {
      event.preventDefault();
      document.body.classList.toggle("dropping", type === "dragover");
      if (type === "drop") answerFile(event.dataTransfer.files);
    });
  }
  document.addEventListener("paste", (event) => answerFile(event.clipboardData.files));
}

async function loadSample(place) {
  const { side } = data, [left, top] = tileCorner(data.samples, place);
  return resizeBitmap(await createImageBitmap(sheets.samples, left, top, side, side), side, data.crop_mode);
}

function showSamples() {
  const rows = data.classes.map((name) => make("div", { class: "row" }, make("span", {}, name)));
  data.sample_labels.forEach((label, place) => {
    const name = data.classes[label], row = rows[label];
    row.append(make("button", {
      class: "tile", style: tileStyle("samples", place, 48), "aria-label": `${name} ${row.children.length}`,
      onclick: () => answer(() => loadSample(place), `a test image of class ${name}`),
    }));
  });
  byId("sample-rows").replaceChildren(...rows);
}

// The ranking.

const betterThan = (row) => data.better_than[row.variant] ?? [];
const decimals = (...keys) => keys.map((key) => [key.replaceAll("_", " "), key, (row) => decimal(row[key])]);
const COLUMNS = [ // header, key to sort by, content
  ["variant", "variant", (row) => row.variant],
  ["seeds", "seeds", (row) => row.seeds],
  ["test accuracy", "accuracy", ({ accuracy, accuracy_deviation: deviation }) =>
    decimal(accuracy) + (deviation === null ? "" : ` ± ${decimal(deviation)}`)],
  [`${+(100 * data.confidence).toFixed(6)} % interval`, "accuracy_low", (row) =>
    `${decimal(row.accuracy_low)} to ${decimal(row.accuracy_high)}`],
  ["significantly better than", "better_than", (row) => betterNames(row)],
  ["training time", "seconds", (row) => (row.seconds === null ? "not measured" : duration(row.seconds))],
  ...decimals(...("published_accuracy" in ranking[0] ? ["published_accuracy"] : []), "loss", ...data.metrics),
  ["parameters", "parameters", (row) => row.parameters.toLocaleString("en")],
];

function betterNames(row) {
  const worse = betterThan(row), below = names.length - 1 - names.indexOf(row.variant);
  return worse.length > 1 && worse.length === below ? `all ${below} below` : worse.join(", ") || "none";
}

function showRanking(by, descending) {
  const value = (row) => (by === "better_than" ? betterThan(row).length : row[by]);
  const rows = [...ranking].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === null || b === null) return (a === null) - (b === null);
    return (a < b ? -1 : Number(a > b)) * (descending ? -1 : 1);
  });
  const findHeader = (key) => byId("ranking").querySelector(`[data-column="${key}"]`);
  const onclick = (key) => {
    showRanking(key, key === by ? !descending : key !== "variant");
    findHeader(key).focus();
  };
  const headers = COLUMNS.map(([header, key]) =>
    make("button", { "data-column": key, onclick: () => onclick(key) }, header));
  fillTable(byId("ranking"), headers, rows.map((row) => COLUMNS.map(([, , content]) => content(row))));
  findHeader(by).closest("th").ariaSort = descending ? "descending" : "ascending";
}

// Training time and curves.

function showTime() {
  const published = Object.fromEntries(ranking.map((row) => [row.variant, row.published_accuracy]));
  const runs = [
    ...ranking.map((row) => ({ ...row, name: row.variant, marker: "●" })),
    ...data.notebook.map((row) => (
      { ...row, name: `${row.variant}, notebook`, accuracy: published[row.variant] ?? null, marker: "◇" })),
  ].filter(({ seconds, accuracy }) => seconds !== null && accuracy !== null);
  const points = runs.map(({ name, marker, seconds, accuracy, machine }) => ({
    name, marker, x: seconds, y: accuracy,
    title: `${name}: ${decimal(accuracy)} after ${duration(seconds)} on ${machine}` }));
  byId("time-note").textContent = `${points.map((point) => point.title).join("; ")}. `
    + "Of other variants the time was not measured: make repro does it.";
  if (points.length) byId("time").replaceChildren(drawScatter("training time", "test accuracy", points));
}

function showCurves() {
  const boxes = names.map(() => make("input", { type: "checkbox", checked: "" }));
  const slider = byId("epoch"), select = byId("curve");
  let chart;
  const draw = () => {
    const lines = names.map((name, number) => ({ name, number, values: data.variants[name].history[select.value] }))
      .filter(({ number, values }) => boxes[number].checked && values.some((value) => value !== null));
    if (!lines.length) return byId("curve-plot").replaceChildren("No chosen variant has it.");
    chart = drawCurves(select.selectedOptions[0].text, lines, (epoch) => {
      const shown = lines.filter(({ values }) => (values[epoch - 1] ?? null) !== null)
        .map(({ name, values }) => `${name} ${decimal(values[epoch - 1])}`);
      slider.value = epoch;
      byId("epoch-values").textContent = `epoch ${epoch}: ${shown.join(", ")}`;
    });
    slider.max = chart.epochs;
    byId("curve-plot").replaceChildren(chart.svg);
    chart.show(chart.epochs);
  };
  slider.addEventListener("input", () => chart.show(Number(slider.value)));
  byId("curve-controls").append(...boxes.map((box, n) => make("label", {}, box, legendKey(n), names[n])));
  byId("curve-controls").addEventListener("change", draw);
  draw();
}

byId("summary").textContent = summary(data);
byId("about-network").textContent = `The network is ${network.variant}, with a test accuracy of `
  + `${percent(network.accuracy)}; here its kernels are rounded to 16 bits. It always names one of `
  + `its classes; below ${percent(network.unlikely)} the page says that none looks likely.`;
byId("libraries").textContent = Object.entries(data.libraries).map((pair) => pair.join(" ")).join(", ");
listen();
showSamples();
showRanking("accuracy", true);
showTime();
showCurves();
byId("variant").replaceChildren(...names.map((name) => make("option", {}, name)));
byId("variant").addEventListener("change", ({ target }) => showVariant(target.value));
showVariant(names[0]);
setTimeout(() => { predict ??= loadNetwork(network); });
