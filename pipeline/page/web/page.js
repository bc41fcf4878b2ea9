// The classification of images in the browser, and the start of the page.

const data = JSON.parse(byId("data").textContent), { network } = data;
const threshold = percent(network.rejection_threshold);
let predict; // loaded by the first image

/** Shows the input of the network and the probabilities of the classes. */
function showPrediction(image, name) {
  const [height, width] = image.shape, canvas = Object.assign(byId("input"), { width, height });
  canvas.getContext("2d").putImageData(new ImageData(image.pixels, width, height), 0, 0);
  canvas.ariaLabel = `input of the network: ${name}`;
  predict ??= loadNetwork(network);
  const probabilities = predict(image);
  const order = [...data.classes.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
  const rejected = probabilities[order[0]] < network.rejection_threshold;
  byId("prediction").replaceChildren(
    make("p", {}, make("strong", {}, data.classes[order[0]]), `, prediction for ${name}`,
      rejected ? `, rejected: below the threshold of ${threshold}` : ""),
    ...order.map((k) => make("div", { class: "class" },
      make("span", {}, data.classes[k]),
      make("meter", { value: probabilities[k], "aria-label": data.classes[k] }),
      make("span", {}, percent(probabilities[k])))));
}

let requests = 0; // a result that comes after a later request is dropped

/** Classifies `source`, a file or an image element, or shows that it cannot be decoded. */
async function classify(source, name) {
  const request = ++requests, options = { colorSpaceConversion: "none" };
  byId("status").textContent = "classifying";
  const bitmap = await createImageBitmap(source, options).catch(() => null);
  if (request !== requests) return;
  byId("status").textContent = bitmap ? "" : `${name}: not an image that this browser decodes`;
  if (bitmap) showPrediction(resizeBitmap(bitmap, data.side, data.crop_mode), name);
}

/** Classifies a file that was dropped, pasted or chosen; anything else is ignored. */
function classifyFile([file]) {
  if (file) classify(file, file.name || "image");
}

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

function showSamples() {
  const rows = data.classes.map((name) => make("p", {}, make("span", {}, name)));
  for (const [label, png] of data.samples) {
    const name = `test image of class ${data.classes[label]}`;
    const image = make("img", { src: `data:image/png;base64,${png}`, alt: name });
    rows[label].append(make("button", { onclick: () => classify(image, name) }, image));
  }
  byId("samples").replaceChildren(...rows);
}

byId("about-network").textContent = `The network is ${network.variant}, with a test accuracy of `
  + `${percent(network.accuracy)}; here its kernels are rounded to 16 bits. An image is rejected `
  + `if the probability of the predicted class is below ${threshold}.`;
showSamples();
showRanking();
showTime();
const names = data.ranking.map((row) => row.variant);
byId("variant").replaceChildren(...names.map((name) => make("option", {}, name)));
byId("variant").addEventListener("change", ({ target }) => showVariant(target.value));
showVariant(names[0]);
