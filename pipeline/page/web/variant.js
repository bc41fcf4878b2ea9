// The confusion, the mistakes, the scores and the settings of one variant.

/** A figure of a test image [index, actual, predicted, confidence]. */
function exampleFigure([index, actual, predicted, confidence]) {
  const [truth, answer] = [data.classes[actual], data.classes[predicted]];
  const caption = actual === predicted ? truth : `is ${truth}, predicted ${answer}`;
  const style = tileStyle("examples", data.examples.indices.indexOf(index), 64);
  return make("figure", {},
    make("span", { class: "tile", role: "img", "aria-label": `test image ${index}`, style }),
    make("figcaption", {}, `${caption}, ${percent(confidence)}`));
}

/** A button for the `count` test images of class `actual` classified as `predicted`. */
function examplesButton(count, actual, predicted, examples, attributes) {
  const label = `${count} of class ${data.classes[actual]}, predicted ${data.classes[predicted]}`;
  const onclick = ({ currentTarget: button }) => {
    for (const cell of byId("confusion").querySelectorAll("button")) cell.ariaPressed = cell === button;
    const shown = examples.filter((row) => row[1] === actual && row[2] === predicted);
    byId("cell").replaceChildren(
      make("p", {}, `${label}${count > shown.length ? `; ${shown.length} of them` : ""}:`),
      make("div", { class: "pictures" }, ...shown.map(exampleFigure)));
  };
  return make("button", { ...attributes, "aria-label": label, "aria-pressed": "false", onclick }, count);
}

function showMatrix({ confusion, scores, examples }) {
  const cell = (count, actual, predicted) => {
    const share = Math.sqrt(count / Math.max(1, scores.support[actual])) / 2; // text is legible on half a tint
    return examplesButton(count, actual, predicted, examples, { class: "cell", style: `--share: ${share}` });
  };
  fillTable(byId("confusion"), ["true class", ...data.classes], confusion.map((counts, actual) =>
    [data.classes[actual], ...counts.map((count, predicted) => cell(count, actual, predicted))]));
}

function showPairs({ pairs, scores, examples }) {
  const headers = ["true class", "predicted", "test images", "of the true class"];
  fillTable(byId("confusion"), headers, pairs.map(([actual, predicted, count]) => [
    data.classes[actual], data.classes[predicted],
    examplesButton(count, actual, predicted, examples, {}), percent(count / scores.support[actual])]));
}

function showVariant(name) {
  const variant = data.variants[name];
  byId("confusion").className = variant.confusion ? "matrix" : "";
  (variant.confusion ? showMatrix : showPairs)(variant);
  byId("cell").replaceChildren();
  const wrong = variant.examples.filter(([, actual, predicted]) => actual !== predicted);
  const top = wrong.sort((a, b) => b[3] - a[3]).slice(0, data.max_mistakes);
  byId("mistakes").replaceChildren(...top.map(exampleFigure));
  const { precision, recall, f1, support } = variant.scores;
  fillTable(byId("classes"), ["class", "precision", "recall", "F1", "test images"], data.classes.map((label, k) =>
    [label, ...[precision, recall, f1].map((score) => decimal(score[k])), support[k].toLocaleString("en")]));
  byId("settings").textContent = variant.settings;
  byId("commit").textContent = `git log -S ${variant.history_md5} -- dvc.lock`;
}
