// The classification of a photo, and the start of the page.

// Of what the page shows; `photo` is the number of a test image, null for another file.
const state = { name: "", photo: null, square: null, networks: [], variant: "" };
const networks = new Map(data.networks.map((network) => [network.variant, network]));
const loaded = new Set(); // the names of networks whose weights have come
let request = 0, requested, started; // the latest request, the state it leads to, and its time
let size = [1, 1]; // of the photo
const worker = new Worker(URL.createObjectURL(new Blob([byId("worker").textContent])));

/** Asks the worker for answers on the photo it has, or on the `file` of `changes` to the state. */
function classify({ file, ...changes } = {}) {
  requested = { ...state, ...changes, file };
  started = performance.now();
  byId("status").textContent = "classifying";
  request += 1;
  const selected = state.networks.filter((name) => loaded.has(name));
  worker.postMessage({ request, file, square: requested.square, selected });
}

/** Classifies a file that was dropped, pasted or chosen; text, which has none, is ignored. */
function classifyFile([file]) {
  if (file) classify({ file, name: file.name || "photo", photo: null, square: null });
}

/** Classifies the test image `photo`. */
function classifySample(photo, square = null) {
  const [label, webp] = samples[photo], name = `test image of class ${data.classes[label]}`;
  const bytes = Uint8Array.from(atob(webp), (letter) => letter.charCodeAt(0));
  const file = new Blob([bytes], { type: "image/webp" });
  classify({ file, name, photo, square });
}

/** Shows the photo and what the networks see of it, with a card for each. */
function showInput({ pixels, width, height }) {
  const { file, ...changes } = requested;
  Object.assign(state, changes);
  size = [width, height];
  if (file) {
    URL.revokeObjectURL(byId("original").src);
    byId("original").src = URL.createObjectURL(file);
    byId("caption").textContent = `${state.name}, ${width} × ${height} pixels`;
  }
  writeAddress();
  showSquare();
  const image = new ImageData(pixels, data.side, data.side);
  byId("cards").replaceChildren(...state.networks.map((name) => {
    const canvas = make("canvas", { width: data.side, height: data.side, role: "img",
      "aria-label": `input of ${name}` });
    canvas.getContext("2d").putImageData(image, 0, 0);
    const veil = make("canvas", { class: "veil", width: 8, height: 8, "aria-hidden": true });
    const note = make("p", { class: "note" }, loaded.has(name) ? "" : `loading ${name}`);
    return make("article", { id: `card-${name}` }, make("div", { class: "answer" }, note),
      make("div", { class: "input" }, canvas, veil));
  }));
}

/** Shows the most probable classes by the network `name`. */
function showPrediction({ name, probabilities }) {
  const { accuracy, rejection_threshold: threshold } = networks.get(name);
  const order = [...data.classes.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
  const actual = samples[state.photo]?.[0];
  const notes = actual === undefined ? []
    : [order[0] === actual ? "right" : `wrong, it is of class ${data.classes[actual]}`];
  if (probabilities[order[0]] < threshold) {
    notes.push(`unlikely: below ${percent(threshold)}, so it may show none of the classes`);
  }
  byId(`card-${name}`).querySelector(".answer").replaceChildren(
    make("p", {}, make("strong", {}, data.classes[order[0]]), ` ${percent(probabilities[order[0]])}`),
    make("p", { class: "note" }, notes.join("; ")),
    make("p", { class: "note" }, `${name}: ${percent(accuracy)} of the test images right`));
  byId(`card-${name}`).append(...order.slice(0, 5).map((k) => make("div", { class: "class" },
    make("span", {}, data.classes[k]),
    make("meter", { value: probabilities[k], "aria-label": data.classes[k] }),
    make("span", {}, percent(probabilities[k])))));
}

/** Darkens the input of the network `name` where a patch over it hardly matters. */
function showOcclusion({ name, map }) {
  const high = Math.max(...map), range = high - Math.min(...map) || 1;
  const veil = map.flatMap((value) => [0, 0, 0, 180 * (1 - (high - value) / range)]);
  byId(`card-${name}`).querySelector(".veil").getContext("2d")
    .putImageData(new ImageData(Uint8ClampedArray.from(veil), 8, 8), 0, 0);
}

/** Shows a message of the worker. */
function receive({ data: message }) {
  if (message.request !== request) return;
  if (message.failed) {
    byId("status").textContent = `${requested.name}: not an image that this browser decodes`;
  } else if (message.pixels) {
    showInput(message);
  } else if (message.done) {
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const answers = [...document.querySelectorAll("#cards strong")].map((each) => each.innerText);
    byId("status").textContent = `${answers.join(", ")}; ${seconds} s from photo to answer`;
  } else if (message.map) {
    showOcclusion(message);
  } else {
    showPrediction(message);
  }
}
/** The square of the photo that the networks see; by default in the middle, as large as it fits. */
function currentSquare() {
  const side = Math.min(...size), [x, y] = size.map((length) => Math.floor((length - side) / 2));
  return state.square ?? { x, y, size: side };
}

function showSquare() {
  const isWhole = data.crop_mode === "whole" && !state.square, square = currentSquare();
  const [x, y, width, height] = isWhole ? [0, 0, ...size]
    : [square.x, square.y, square.size, square.size];
  const share = (length, of) => `${(100 * length) / of}%`;
  Object.assign(byId("square").style, { left: share(x, size[0]), top: share(y, size[1]),
    width: share(width, size[0]), height: share(height, size[1]) });
  byId("size").value = (100 * square.size) / Math.min(...size);
}

/** Moves the square's middle to (x, y), within the photo, with sides of `side` pixels. */
function moveSquare(x, y, side) {
  const length = Math.max(1, Math.round(Math.min(side, ...size)));
  const clamp = (middle, limit) =>
    Math.round(Math.min(Math.max(0, middle - length / 2), limit - length));
  state.square = { x: clamp(x, size[0]), y: clamp(y, size[1]), size: length };
  showSquare();
  classify();
}

/** The middle of the square, moved by so many eighths of its side. */
function stepSquare(right, down, factor = 1) {
  const { x, y, size: side } = currentSquare();
  moveSquare(x + side * (0.5 + right / 8), y + side * (0.5 + down / 8), side * factor);
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  "+": [0, 0, 1.25], "-": [0, 0, 0.8] };
byId("square").addEventListener("keydown", (event) => {
  if (!(event.key in STEPS)) return;
  event.preventDefault();
  stepSquare(...STEPS[event.key]);
});
byId("size").addEventListener("input", ({ target }) => {
  stepSquare(0, 0, ((target.value / 100) * Math.min(...size)) / currentSquare().size);
});
byId("original").parentElement.addEventListener("pointermove", (event) => {
  if (!event.buttons) return;
  const box = event.currentTarget.getBoundingClientRect();
  moveSquare(((event.clientX - box.left) / box.width) * size[0],
    ((event.clientY - box.top) / box.height) * size[1], currentSquare().size);
});

for (const input of document.querySelectorAll("input[type=file]")) {
  input.addEventListener("change", () => {
    classifyFile(input.files);
    input.value = ""; // so that the same file can be chosen again
  });
}
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  classifyFile(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => classifyFile(event.clipboardData.files));

/** Writes the state into the address, so that a link shows the same; a photo of one's own is not. */
function writeAddress() {
  const { photo, square, variant } = state, parts = [`networks=${state.networks}`];
  if (photo !== null) parts.unshift(`photo=${photo}`);
  if (photo !== null && square) parts.push(`square=${Object.values(square)}`);
  history.replaceState(null, "", `#${parts.join("&")}&variant=${encodeURIComponent(variant)}`);
}

/** Shows what the address says, with the defaults of the page where it says nothing. */
function readAddress() {
  const parts = new URLSearchParams(location.hash.slice(1)), photo = parts.get("photo");
  const names = [...networks.keys()], asked = parts.get("networks")?.split(",") ?? names;
  const selected = names.filter((name) => asked.includes(name));
  const [x, y, side] = (parts.get("square") ?? "").split(",").map(Number);
  state.networks = selected.length ? selected : names;
  for (const name of names) byId(`use-${name}`).checked = state.networks.includes(name);
  const square = side > 0 ? { x, y, size: side } : null;
  classifySample(photo in samples ? Number(photo) : data.first_sample, square);
}

function selectNetworks() {
  state.networks = [...networks.keys()].filter((name) => byId(`use-${name}`).checked);
  classify();
}

function showSamples() {
  byId("samples").replaceChildren(...samples.map(([label, webp], number) => {
    const src = `data:image/webp;base64,${webp}`, alt = `test image of class ${data.classes[label]}`;
    return make("button", { onclick: () => classifySample(number) },
      make("img", { src, alt, width: 36, height: 36 }));
  }));
  moveFocusByArrows(byId("samples"), 1);
}

/** Shows the first photo; the networks answer as they are loaded. */
function startClassification() {
  showSamples();
  byId("choice").append(...[...networks.keys()].map((name) => make("label", {},
    make("input", { type: "checkbox", id: `use-${name}`, onchange: selectNetworks }), name)));
  worker.addEventListener("message", receive);
  worker.postMessage({ settings: data });
  readAddress();
  addEventListener("hashchange", readAddress);
}

/** Gives the worker the weights of the network `name`. */
function loadWeights(name, element) {
  worker.postMessage({ name, weights: element.textContent });
  loaded.add(name);
  classify(requested);
}
