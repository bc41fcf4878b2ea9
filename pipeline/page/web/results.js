// The results of the variants: ranking, training times, learning curves, errors of one variant.

function showRanking() {
  const { ranking, confidence_level } = data, metrics = Object.keys(ranking[0].metrics);
  const headers = ["variant", "seeds", "test accuracy", `${percent(confidence_level)} interval`,
    "significantly better than", "training time", "published accuracy", "loss", ...metrics,
    "parameters"];
  const rows = ranking.map((row, rank) => {
    const worse = row.better_than, below = ranking.length - 1 - rank;
    return [row.variant, row.seeds,
      decimal(row.accuracy) + (row.seeds > 1 ? ` ± ${decimal(row.accuracy_deviation)}` : ""),
      `${decimal(row.accuracy_low)} to ${decimal(row.accuracy_high)}`,
      worse.length > 1 && worse.length === below ? `all ${below} below` : worse.join(", "),
      row.time ? duration(row.time[0]) : "not measured",
      decimal(row.published_accuracy), decimal(row.loss),
      ...metrics.map((name) => decimal(row.metrics[name])), row.parameters.toLocaleString("en")];
  });
  fillTable(byId("ranking"), headers, rows);
}

function showTime() {
  const runs = data.ranking.flatMap((row) => [
    [row.variant, row.accuracy, row.time, 0],
    [`${row.variant}, notebook`, row.published_accuracy, row.notebook_time, 4]]);
  const measured = runs.filter(([, accuracy, time]) => accuracy !== null && time);
  const points = measured.map(([name, accuracy, [seconds, machine], number]) => ({
    name, number, x: seconds, y: accuracy,
    title: `${name}: ${decimal(accuracy)} after ${duration(seconds)} on ${machine}` }));
  byId("time-note").textContent = points.map(({ title }) => title).join("; ") || "not measured";
  if (points.length) byId("time").append(drawScatter("training time", "test accuracy", points));
}

function showCurves(names) {
  const boxes = names.map(() => make("input", { type: "checkbox", checked: "" }));
  const select = byId("curve");
  const draw = () => {
    const lines = names
      .map((name, number) => ({ number, values: data.variants[name].history[select.value] }))
      .filter(({ number, values }) => boxes[number].checked && values[0] !== null);
    byId("curve-plot").replaceChildren(
      lines.length ? drawCurves(select.selectedOptions[0].text, lines) : "no values");
  };
  byId("curve-controls").append(
    ...boxes.map((box, n) => make("label", {}, box, legendKey(n), names[n])));
  byId("curve-controls").addEventListener("change", draw);
  draw();
}

/** A figure of a test image [index, actual, predicted, confidence]. */
function exampleFigure([index, actual, predicted, confidence]) {
  const { classes, jpeg_header: header } = data;
  const src = `data:image/jpeg;base64,${header}${data.examples[index]}`;
  return make("figure", {}, make("img", { src, alt: `test image ${index}` }), make("figcaption", {},
    `${classes[actual]}, predicted ${classes[predicted]}, probability ${percent(confidence)}`));
}

/** A button for the `count` test images of class `actual` classified as `predicted`. */
function countButton(count, actual, predicted, { examples, scores }) {
  const label = `${count} of class ${data.classes[actual]}, predicted ${data.classes[predicted]}`;
  const onclick = () => {
    const shown = examples.filter((row) => row[1] === actual && row[2] === predicted);
    byId("cell").replaceChildren(make("p", {}, label), ...shown.map(exampleFigure));
  };
  // At most half a tint, on which text is legible, for all images of the class.
  const style = `--share: ${50 * Math.sqrt(count / scores.support[actual])}%`;
  return make("button", { class: "cell", style, "aria-label": label, onclick }, count);
}

function showVariant(name) {
  const variant = data.variants[name], { precision, recall, f1, support } = variant.scores;
  fillTable(byId("confusion"), ["true class", ...data.classes], variant.confusion.map(
    (counts, actual) => [data.classes[actual], ...counts.map((count, predicted) =>
      (count ? countButton(count, actual, predicted, variant) : "0"))]));
  byId("cell").replaceChildren();
  const misclassified = variant.examples.filter(([, actual, predicted]) => actual !== predicted)
    .sort((a, b) => b[3] - a[3]).slice(0, data.max_misclassified);
  byId("misclassified").replaceChildren(...misclassified.map(exampleFigure));
  fillTable(byId("classes"), ["class", "precision", "recall", "F1", "test images"],
    data.classes.map((label, k) =>
      [label, ...[precision, recall, f1].map((score) => decimal(score[k])), support[k]]));
  byId("settings").textContent = variant.settings;
}
