// The results: ranking and training times of all variants; learning curves and errors of one.

function showRanking() {
  const { ranking, confidence_level } = data;
  const headers = ["variant", "seeds", "test accuracy", `${percent(confidence_level)} interval`,
    "significantly better than", "training time", "published accuracy", "parameters"];
  const rows = ranking.map((row, rank) => {
    const worse = row.better_than, below = ranking.length - 1 - rank;
    return [row.variant, row.seeds,
      decimal(row.accuracy) + (row.seeds > 1 ? ` ± ${decimal(row.accuracy_deviation)}` : ""),
      `${decimal(row.accuracy_low)} to ${decimal(row.accuracy_high)}`,
      worse.length > 1 && worse.length === below ? `all ${below} below` : worse.join(", "),
      row.time ? duration(row.time[0]) : "not measured",
      decimal(row.published_accuracy), row.parameters.toLocaleString("en")];
  });
  fillTable("ranking", headers, rows);
}

function showTime() {
  const rows = data.ranking.filter((row) => row.time);
  byId("time-note").textContent = rows.map(({ variant, accuracy, time: [seconds, machine] }) =>
    `${variant}: ${decimal(accuracy)} after ${duration(seconds)} on ${machine}`).join("; ");
  const points = rows.map(({ variant, accuracy, time }) => [variant, time[0] / 60, accuracy]);
  byId("time").append(
    points.length ? drawScatter("minutes", "test accuracy", points) : "not measured");
}

/** A figure of a test image [index, actual, predicted, confidence]. */
function exampleFigure([index, actual, predicted, confidence]) {
  const { classes, examples } = data, src = `data:image/webp;base64,${examples[index]}`;
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
  const variant = data.variants[name], { history, examples, confusion, settings } = variant;
  byId("curves").replaceChildren(drawCurves("accuracy", history.accuracy, history.val_accuracy),
    drawCurves("loss", history.loss, history.val_loss));
  fillTable("confusion", ["true class", ...data.classes], confusion.map((counts, actual) =>
    [data.classes[actual], ...counts.map((count, predicted) =>
      (count ? countButton(count, actual, predicted, variant) : "0"))]));
  byId("cell").replaceChildren();
  const misclassified = examples.filter(([, actual, predicted]) => actual !== predicted);
  byId("misclassified").replaceChildren(
    ...misclassified.slice(0, data.max_misclassified).map(exampleFigure));
  const { precision, recall, f1, support } = variant.scores;
  fillTable("classes", ["class", "precision", "recall", "F1", "test images"],
    data.classes.map((label, k) =>
      [label, ...[precision, recall, f1].map((score) => decimal(score[k])), support[k]]));
  byId("settings").textContent = settings;
}
