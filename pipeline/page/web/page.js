// The classification of a photo, and the start of the page.

// What the page shows, or is to show while `file` is still to be decoded. `photo` is the number of
// a test image, null for another file; `problem` is that of a later file, `variant` that of results.
const state = { name: "", photo: null, square: null, file: null, problem: "", networks: [] };
const networks = new Map(data.networks.map((network) => [network.variant, network]));
const loaded = new Set(); // the names of networks whose weights have come
let request = 0, started; // the latest request, and its time
let size = [1, 1], shown = {}; // of the photo that is shown, and its part of the state
let address; // the last one that was read; writeAddress may have replaced it since
const worker = new Worker(URL.createObjectURL(new Blob([byId("worker").textContent])));

/** Asks the worker for answers on the changed state: on `file`, or on the photo that it has. */
function classify(changes) {
  Object.assign(state, changes);
  started = performance.now();
  byId("status").textContent = "classifying";
  request += 1;
  const { file, square } = state, selected = state.networks.filter((name) => loaded.has(name));
  worker.postMessage({ request, file, square, selected });
}

/** Classifies a file that was dropped, pasted or chosen; text, which has none, is ignored. */
function classifyFile([file]) {
  const name = file?.name || "photo";
  if (file) classify({ file, name, photo: null, square: null, problem: "" });
}

/** Classifies the test image `photo`. */
function classifySample(photo, square = null) {
  const [label, webp] = samples[photo], name = `test image of class ${data.classes[label]}`;
  const bytes = Uint8Array.from(atob(webp), (letter) => letter.charCodeAt(0));
  const file = new Blob([bytes], { type: "image/webp" });
  classify({ file, name, photo, square, problem: "" });
}

/** Shows the photo and what the networks see of it, with a card for each. */
function showInput({ pixels, width, height }) {
  const { name, photo, square, file } = state;
  shown = { name, photo, square };
  size = [width, height];
  if (file) {
    URL.revokeObjectURL(byId("original").src);
    byId("original").src = URL.createObjectURL(file);
    byId("caption").textContent = `${name}, ${width} × ${height} pixels`;
    state.file = null;
  }
  showSquare();
  const image = new ImageData(pixels, data.side, data.side);
  byId("cards").replaceChildren(...state.networks.map((network) => {
    const canvas = make("canvas", { width: data.side, height: data.side, role: "img",
      "aria-label": `input of ${network}` });
    canvas.getContext("2d").putImageData(image, 0, 0);
    const veil = make("canvas", { class: "veil", width: 8, height: 8, "aria-hidden": true });
    const note = make("p", { class: "note" }, loaded.has(network) ? "" : `loading ${network}`);
    return make("article", { id: `card-${network}` }, make("div", { class: "answer" }, note),
      make("div", { class: "input" }, canvas, veil));
  }));
}

/** Shows the most probable classes by the network `name`. */
function showPrediction({ name, probabilities }) {
  const { accuracy, config: { rejection_threshold: threshold } } = networks.get(name);
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
  if (message.pixels) showInput(message);
  else if (message.probabilities) showPrediction(message);
  else if (message.map) showOcclusion(message);
  else if (message.failed && state.file) {
    const problem = `${state.name}: not an image that this browser decodes; `;
    classify({ ...shown, file: null, problem }); // on the photo before
  } else {
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const answers = [...document.querySelectorAll("#cards strong")].map((each) => each.innerText);
    const missing = state.networks.length ? "loading" : "no network is chosen";
    byId("status").textContent = state.problem
      + (answers.length ? `${answers.join(", ")}; ${seconds} s from photo to answer` : missing);
    writeAddress(); // not while the square is dragged: browsers limit the changes in a second
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
  if (state.file) return; // the photo that is shown is about to be replaced
  const length = Math.max(1, Math.round(Math.min(side, ...size)));
  const clamp = (middle, limit) =>
    Math.round(Math.min(Math.max(0, middle - length / 2), limit - length));
  classify({ square: { x: clamp(x, size[0]), y: clamp(y, size[1]), size: length } });
  showSquare();
}

/** The middle of the square, moved by so many eighths of its side. */
function stepSquare(right, down, factor = 1) {
  const { x, y, size: side } = currentSquare();
  moveSquare(x + side * (0.5 + right / 8), y + side * (0.5 + down / 8), side * factor);
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  "+": [0, 0, 1.25], "-": [0, 0, 0.8] };
byId("square").addEventListener("keydown", (event) => {
  if (!(event.key in STEPS) || isShortcut(event)) return;
  event.preventDefault();
  stepSquare(...STEPS[event.key]);
});
byId("size").addEventListener("input", ({ target }) => {
  stepSquare(0, 0, ((target.value / 100) * Math.min(...size)) / currentSquare().size);
});
byId("photo").addEventListener("pointermove", (event) => {
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
  address = new URLSearchParams(location.hash.slice(1));
  const names = [...networks.keys()], asked = address.get("networks")?.split(",") ?? names;
  const selected = names.filter((name) => asked.includes(name));
  state.networks = selected.length ? selected : names;
  for (const name of names) byId(`use-${name}`).checked = state.networks.includes(name);
  showVariant(address.get("variant"));
  if (samples.length) showAddressedSample();
}

function showAddressedSample() {
  const photo = parseInt(address.get("photo"), 10);
  const [x, y, side] = (address.get("square") ?? "").split(",").map(Number);
  const square = side > 0 ? { x, y, size: side } : null;
  classifySample(photo in samples ? photo : data.first_sample, square);
}

/** Shows all but images and networks, which are loaded later; photos can be dropped already. */
function startPage() {
  showRanking();
  byId("variant").append(...data.ranking.map((row) => make("option", {}, row.variant)));
  byId("variant").addEventListener("change", ({ target }) => {
    showVariant(target.value);
    writeAddress();
  });
  const names = [...networks.keys()];
  const onchange = () =>
    classify({ networks: names.filter((name) => byId(`use-${name}`).checked) });
  byId("choice").append(...names.map((name) => make("label", {},
    make("input", { type: "checkbox", id: `use-${name}`, onchange }), name)));
  worker.addEventListener("message", receive);
  worker.postMessage({ settings: data });
  readAddress();
  addEventListener("hashchange", readAddress);
}

/** Shows the test images, and the first unless there is a photo; networks answer as they load. */
function startSamples() {
  byId("samples").append(...samples.map(([label, webp], number) => {
    const src = `data:image/webp;base64,${webp}`, alt = `test image of class ${data.classes[label]}`;
    return make("button", { onclick: () => classifySample(number) },
      make("img", { src, alt, width: 36, height: 36 }));
  }));
  moveFocusByArrows(byId("samples"), 1);
  if (!state.file && !shown.name) showAddressedSample();
}

/** Gives the worker the weights of the network `name`. */
function loadWeights(name, element) {
  worker.postMessage({ name, weights: element.textContent });
  loaded.add(name);
  classify();
}
