// What stands where on the page, and what happens when something is chosen, dropped or pasted.

const byId = (id) => document.getElementById(id);
const facts = JSON.parse(byId("facts").textContent);
const network = JSON.parse(byId("network").textContent);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const four = (value) => (value === null ? "" : value.toFixed(4));
const names = facts.ranking.map((row) => row.variant);

function duration(seconds) {
  const minutes = Math.floor(Math.round(seconds) / 60), rest = Math.round(seconds) % 60;
  return [minutes && `${minutes} min`, (rest || !minutes) && `${rest} s`].filter(Boolean).join(" ");
}

/** The tile at `place` of a sheet of test images, `shown` pixels large, as the style of an element. */
function tile(sheet, place, shown) {
  const { columns, side } = facts[sheet], column = place % columns, row = Math.floor(place / columns);
  return `width: ${side}px; height: ${side}px; zoom: ${shown / side}; image-rendering: ${rendering(side, shown)};`
    + `background-image: var(--${sheet}); background-position: ${-column * side}px ${-row * side}px`;
}

/** How pixels are shown: as squares where they are magnified. */
const rendering = (side, shown) => (side < shown ? "pixelated" : "auto");

// The network, and what it is asked.

const MOST_TOLD = 20; // classes of an answer: all but the first few are hardly likely

let ask; // opened when the page stands, or at a question that comes earlier

/** Shows `image` as the network sees it, and what it says. */
function classify(image, name) {
  const [height, width] = image.shape, canvas = byId("seen"), seen = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) seen.data[4 * i + c] = Math.round(255 * image.data[3 * i + c]);
    seen.data[4 * i + 3] = 255;
  }
  Object.assign(canvas, { width, height }).getContext("2d").putImageData(seen, 0, 0);
  canvas.style.imageRendering = rendering(width, canvas.clientWidth);
  canvas.setAttribute("aria-label", `${name} as the network sees it`);
  const started = performance.now();
  ask ??= opened(network);
  const shares = Array.from(ask(image)), took = performance.now() - started;
  const order = facts.classes.map((_, k) => k).sort((a, b) => shares[b] - shares[a]);
  const told = order.slice(0, MOST_TOLD), rest = order.slice(MOST_TOLD);
  byId("said").replaceChildren(
    make("p", {}, make("strong", {}, facts.classes[order[0]]),
      `, says ${network.variant} of ${name}, after ${(took / 1000).toFixed(2)} s`),
    ...(shares[order[0]] < network.unlikely ? [make("p", { class: "doubt" }, "None of these looks likely.")] : []),
    ...told.map((k) => make("div", { class: "guess" },
      make("span", {}, facts.classes[k]),
      make("span", { class: "share" }, make("span", { style: `width: ${100 * shares[k]}%` })),
      make("span", { class: "number" }, percent(shares[k])))),
    ...(rest.length ? [make("p", { class: "note" }, `${rest.length} others: ${percent(rest.reduce((sum, k) => sum + shares[k], 0))} together`)] : []));
}

let asked = 0; // questions so far: an answer that comes after a later question is dropped

/** Shows the answer about the pixels that `read` promises, or in a sentence what is wrong. */
async function answer(read, name) {
  const question = ++asked;
  byId("said").replaceChildren(make("p", {}, "Looking …"));
  try {
    const image = await read();
    if (question === asked) classify(image, name);
  } catch (error) {
    if (question === asked) refuse(error.message);
  }
}

/** Says in `sentence` why there is no answer. */
function refuse(sentence) {
  const canvas = byId("seen");
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  canvas.setAttribute("aria-label", "no picture yet");
  byId("said").replaceChildren(make("p", { class: "problem" }, sentence));
}

/** Asks about the first of some files that were dropped, pasted or chosen. */
function askAbout(files) {
  byId("try").scrollIntoView({ block: "nearest" });
  const [file] = files;
  if (file) return answer(() => photoPixels(file, facts.side, facts.framing, network.most_pixels), file.name || "the picture");
  asked++;
  refuse("That was no file; save the picture first, then drop it or choose it.");
}

function listen() {
  for (const id of ["choose", "photograph"]) {
    byId(id).addEventListener("change", async ({ target }) => {
      if (target.files.length) await askAbout(target.files);
      target.value = ""; // so that the same file can be chosen again
    });
  }
  const drop = (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", event.type === "dragover");
    if (event.type === "drop") askAbout(event.dataTransfer.files);
  };
  for (const kind of ["dragover", "dragleave", "drop"]) document.addEventListener(kind, drop);
  document.addEventListener("paste", (event) => askAbout(event.clipboardData.files));
}

// The data.

/** The pixels of the sample at `place`, without loss. */
async function samplePixels(place) {
  const sheet = new Image();
  sheet.src = `data:${facts.samples.type};base64,${facts.samples.data}`;
  await sheet.decode();
  const side = facts.side, canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
  const context = canvas.getContext("2d");
  const { columns } = facts.samples, column = place % columns, row = Math.floor(place / columns);
  context.drawImage(sheet, -column * side, -row * side);
  const { data } = context.getImageData(0, 0, side, side);
  return { data: Float32Array.from({ length: 3 * side * side }, (_, i) => data[4 * Math.floor(i / 3) + (i % 3)] / 255), shape: [side, side, 3] };
}

function showSamples() {
  const wide = `width: ${Math.min(20, Math.max(...facts.classes.map((name) => name.length)))}ch`;
  byId("sample-rows").replaceChildren(...facts.classes.map((name, k) => {
    const places = facts.sample_labels.flatMap((label, place) => (label === k ? [place] : []));
    const tiles = places.map((place, n) => make("button", {
      class: "tile", style: tile("samples", place, 48), "aria-label": `${name} ${n + 1}`,
      onclick: () => {
        byId("try").scrollIntoView({ block: "nearest" });
        answer(() => samplePixels(place), `a test image of class ${name}`);
      },
    }));
    return tiles.length ? make("div", { class: "row" }, make("span", { style: wide }, name), ...tiles) : "";
  }));
}

// The ranking.

const COLUMNS = [
  ["variant", "variant", (row) => row.variant],
  ["seeds", "seeds", (row) => row.seeds],
  ["test accuracy", "accuracy", (row) => four(row.accuracy) + (row.accuracy_deviation === null ? "" : ` ± ${four(row.accuracy_deviation)}`)],
  [`${+(100 * facts.confidence).toPrecision(12)} % interval`, "accuracy_low", (row) => interval(row)],
  ["surely better than", "beats", (row) => surely(row.variant)],
  ["training time", "seconds", (row) => (row.seconds === null ? "not measured" : duration(row.seconds))],
  ...(facts.published ? [["published accuracy", "published_accuracy", (row) => four(row.published_accuracy)]] : []),
  ["test loss", "loss", (row) => four(row.loss)],
  ...facts.metrics.map((key) => [key.replaceAll("_", " "), key, (row) => four(row[key])]),
  ["parameters", "parameters", (row) => row.parameters.toLocaleString("en")],
];

function interval({ accuracy, accuracy_low: low, accuracy_high: high }) {
  return make("span", {},
    make("svg", { class: "interval", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      make("rect", { x: 0, y: 1, width: 100 * accuracy, height: 8 }),
      make("line", { x1: 100 * low, x2: 100 * high, y1: 5, y2: 5 })),
    `${four(low)} to ${four(high)}`);
}

function surely(name) {
  const beaten = facts.beats[name] ?? [], below = names.slice(names.indexOf(name) + 1);
  if (beaten.length === 0) return below.length ? "none" : "";
  return beaten.length === below.length && beaten.length > 1 ? `all ${beaten.length} of lower accuracy` : beaten.join(", ");
}

function showRanking(by = "accuracy", falling = true) {
  const key = (row) => (by === "beats" ? (facts.beats[row.variant] ?? []).length : row[by]);
  const rows = [...facts.ranking].sort((one, other) => {
    const [a, b] = [key(one), key(other)];
    if (a === null || b === null) return (a === null) - (b === null);
    return (a < b ? -1 : a > b ? 1 : 0) * (falling ? -1 : 1);
  });
  const heads = COLUMNS.map(([heading, column]) => {
    const sorted = column === by ? (falling ? "descending" : "ascending") : "none";
    const arrow = { descending: " ▼", ascending: " ▲", none: "" }[sorted];
    const click = () => {
      showRanking(column, column === by ? !falling : column !== "variant");
      byId("ranking").querySelector(`[data-column="${column}"]`).focus();
    };
    return make("th", { scope: "col", "aria-sort": sorted },
      make("button", { "data-column": column, onclick: click }, heading, make("span", { "aria-hidden": "true" }, arrow)));
  });
  byId("ranking").replaceChildren(
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...COLUMNS.map(([, column, tell], n) =>
      n === 0 ? make("th", { scope: "row" }, tell(row)) : make("td", { class: column === "beats" ? "text" : null }, tell(row)))))));
}

// Time and curves.

/** What the marks are, with the notebook's numbers, which stand nowhere else. */
function timeNotes(ours) {
  const places = (rows) => [...new Set(rows.map((row) => row.machine))].join(" and ");
  const notes = [];
  if (ours.length) notes.push(`Filled: this pipeline, the whole training on ${places(ours)}.`);
  if (facts.notebook.length) {
    const told = facts.notebook.map((row) => `${row.variant} ${four(row.accuracy)} after ${duration(row.seconds)}`);
    notes.push(`Hollow: what the study's notebook published, at the time that its training takes on ${places(facts.notebook)}: ${told.join(", ")}.`);
  }
  return notes;
}

function showTime() {
  const ours = facts.ranking.filter((row) => row.seconds !== null);
  const points = [
    ...ours.map((row) => ({ name: row.variant, x: row.seconds, y: row.accuracy, machine: row.machine })),
    ...facts.notebook.map((row) => ({ name: `${row.variant}, notebook`, x: row.seconds, y: row.accuracy, machine: row.machine, hollow: true })),
  ].map((point) => ({ ...point, told: `${point.name}: ${four(point.y)} after ${duration(point.x)} on ${point.machine}` }));
  const missing = facts.ranking.filter((row) => row.seconds === null).map((row) => row.variant);
  const notes = missing.length ? [`Not measured here: ${missing.join(", ")}; run make repro.`] : [];
  if (points.length) {
    const seconds = points.map((p) => p.x), shares = points.map((p) => p.y);
    const low = Math.floor(10 * Math.min(...shares)) / 10;
    const high = Math.max(Math.ceil(10 * Math.max(...shares)) / 10, low + 0.1); // also of a single round number
    const x = { low: Math.min(...seconds) / 1.3, high: Math.max(...seconds) * 1.5, log: true, tell: duration, label: "training time",
      ticks: [1, 3, 10, 30, 60, 120, 300, 600, 1200, 3600, 10800] };
    x.ticks = x.ticks.filter((value) => value >= x.low && value <= x.high);
    const y = { low, high, ticks: ticks(low, high), tell: (value) => value.toFixed(2), label: "test accuracy" };
    byId("time").replaceChildren(scatter("Test accuracy against training time; the numbers are in the ranking and below", x, y, points));
    notes.unshift(...timeNotes(ours));
  }
  byId("time-note").textContent = notes.join(" ");
}

const FIGURES = { accuracy: "training accuracy", val_accuracy: "validation accuracy", loss: "training loss", val_loss: "validation loss" };

function showCurves() {
  const which = make("select", {}, ...Object.entries(FIGURES).map(([key, name]) => make("option", { value: key }, name)));
  const boxes = names.map((name) => make("input", { type: "checkbox", checked: "", value: name }));
  const epoch = make("input", { type: "range", min: 1, step: 1, value: 1, "aria-label": "epoch" });
  const values = make("output", { class: "note" });
  let plot;
  const draw = () => {
    const key = which.value;
    const lines = names.map((name, number) => ({ name, number, values: facts.variants[name].history[key] }))
      .filter(({ number, values }) => boxes[number].checked && values.some((value) => value !== null));
    const found = lines.flatMap((line) => line.values).filter((value) => value !== null);
    const low = Math.min(...found, 1e9), high = Math.max(...found, -1e9);
    if (!lines.length) return byId("curve-plot").replaceChildren(make("p", {}, "No chosen variant has it."));
    const y = { low, high: high > low ? high : low + 1, tell: (value) => value.toFixed(2), label: FIGURES[key] };
    y.ticks = ticks(y.low, y.high);
    plot = curves(`${FIGURES[key]} over the epochs`, y, lines, (at) => {
      epoch.value = at;
      const told = lines.filter((line) => (line.values[at - 1] ?? null) !== null)
        .map((line) => `${line.name} ${four(line.values[at - 1])}`);
      values.textContent = `epoch ${at}: ${told.join(", ")}`;
    });
    epoch.max = plot.most;
    byId("curve-plot").replaceChildren(plot.svg, make("p", {}, make("label", { class: "controls" }, "epoch", epoch)), values);
    plot.show(plot.most);
  };
  epoch.addEventListener("input", () => plot.show(Number(epoch.value)));
  for (const control of [which, ...boxes]) control.addEventListener("change", draw);
  byId("curve-controls").replaceChildren(make("label", {}, "show", which),
    ...boxes.map((box, n) => make("label", {}, box, sample(n), names[n])));
  draw();
}

for (const name of ["pictures", "samples"]) {
  // By an address, as Chromium drops properties of more than two million letters.
  const address = URL.createObjectURL(new Blob([bytesOf(facts[name].data)], { type: facts[name].type }));
  document.documentElement.style.setProperty(`--${name}`, `url("${address}")`);
}
byId("answer").textContent = facts.answer;
byId("asked").textContent = `${network.variant} answers, which has ${percent(network.accuracy)} of the test images right; here its kernels are rounded to 16 bits. It knows ${facts.classes.length} classes and always names one of them; where the first has less than ${percent(network.unlikely)}, it says that none looks likely.`;
byId("interval-note").textContent = `The interval says what ${facts.test_images.toLocaleString("en")} test images can tell apart, not how much another seed would change; "surely" is by McNemar's exact test on the same images, Bonferroni-corrected.`;
listen();
showSamples();
showRanking();
showTime();
showCurves();
byId("variant").replaceChildren(...names.map((name) => make("option", { value: name }, name)));
byId("variant").addEventListener("change", ({ target }) => showVariant(target.value));
showVariant(names[0]);
setTimeout(() => { ask ??= opened(network); });
