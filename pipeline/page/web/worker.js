// The worker: decodes a photo and computes networks, so that the page stays responsive.

const networks = new Map(); // of network.js, by name
let settings, photo, latest;

/** Lets messages of later requests come in; whether this is still the latest. */
const isLatest = async (request) => {
  await new Promise((resolve) => { setTimeout(resolve); });
  return request === latest;
};

/**
 * Answers a request for a `file`, or for another `square` or other networks on the same photo: its
 * size and pixels, the probabilities by each network, "done", then the occlusion maps.
 */
async function answer({ request, file, square, selected }) {
  const send = (message) => postMessage({ request, ...message });
  if (!await isLatest(request)) return;
  const bitmap = file ? await createImageBitmap(file, { colorSpaceConversion: "none" }) : photo;
  if (request !== latest) return;
  const image = resizeBitmap(bitmap, settings.side, settings.crop_mode, square);
  photo = bitmap; // from here on, as one that is too large has failed
  send({ pixels: image.pixels, width: photo.width, height: photo.height });
  const labels = [];
  for (const name of selected) {
    const probabilities = networks.get(name).predict(image);
    labels.push(probabilities.indexOf(Math.max(...probabilities)));
    send({ name, probabilities });
    if (!await isLatest(request)) return;
  }
  send({ done: true });
  for (const [number, name] of selected.entries()) {
    const map = [];
    while (map.length < CELLS ** 2) {
      map.push(networks.get(name).occlusion(image, labels[number], map.length));
      if (map.length % CELLS === 0 && !await isLatest(request)) return;
    }
    send({ name, map });
  }
}

onmessage = ({ data: message }) => {
  if (message.settings) {
    settings = message.settings;
  } else if (message.weights) {
    const network = settings.networks.find(({ variant }) => variant === message.name);
    networks.set(message.name, loadNetwork({ ...network, data: message.weights }));
  } else {
    latest = message.request;
    answer(message).catch(() => postMessage({ request: message.request, failed: true }));
  }
};
