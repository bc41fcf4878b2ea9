// The results: ranking of all variants; learning curves and errors of one.

function showRanking() {
  const { ranking, confidence_level } = data;
  const headers = ["variant", "test accuracy", "training time", "seeds",
    `${percent(confidence_level)} interval`, "significantly better than", "published accuracy",
    "parameters", "trained on"];
  const rows = ranking.map((row, rank) => {
    const worse = row.better_than, below = ranking.length - 1 - rank;
    return [row.variant,
      decimal(row.accuracy) + (row.seeds > 1 ? ` ± ${decimal(row.accuracy_deviation)}` : ""),
      row.time ? duration(row.time[0]) : "not measured", row.seeds,
      `${decimal(row.accuracy_low)} to ${decimal(row.accuracy_high)}`,
      worse.length > 1 && worse.length === below ? `all ${below} below` : worse.join(", "),
      decimal(row.published_accuracy), row.parameters.toLocaleString("en"),
      row.time?.[1] ?? ""];
  });
  fillTable("ranking", headers, rows);
}

/** A figure of a test image [index, actual, predicted, confidence]. */
function exampleFigure([index, actual, predicted, confidence]) {
  const { classes } = data, alt = `test image ${index}`;
  const image = make("img", { "data-example": index, alt, width: 64, height: 64 });
  return make("figure", {}, image, make("figcaption", {},
    `${classes[actual]}, predicted ${classes[predicted]}, probability ${percent(confidence)}`));
}

/** Fills in the test images of the figures, as soon as they are loaded. */
function fillExamples() {
  for (const image of document.querySelectorAll("[data-example]")) {
    image.src = `data:image/webp;base64,${examples[image.dataset.example] ?? ""}`;
  }
}

/** A button for the `count` test images of class `actual` classified as `predicted`. */
function countButton(count, actual, predicted, variant) {
  const label = `${count} of class ${data.classes[actual]}, predicted ${data.classes[predicted]}`;
  const onclick = () => {
    const shown = variant.examples.filter((row) => row[1] === actual && row[2] === predicted);
    byId("cell").replaceChildren(make("p", {}, label), ...shown.map(exampleFigure));
    fillExamples();
  };
  // At most half a tint, on which text is legible, for all images of the class.
  const style = `--share: ${50 * Math.sqrt(count / variant.scores.support[actual])}%`;
  return make("button", { class: "cell", style, "aria-label": label, onclick }, count);
}

/** Shows the results of the variant `name`, by default the most accurate. */
function showVariant(name) {
  state.variant = Object.hasOwn(data.variants, name) ? name : data.ranking[0].variant;
  byId("variant").value = state.variant;
  const variant = data.variants[state.variant], { history, confusion, settings } = variant;
  const { seeds, accuracy: mean } = data.ranking.find((row) => row.variant === state.variant);
  const own = confusion.reduce((sum, counts, k) => sum + counts[k], 0) / confusion.flat()
    .reduce((a, b) => a + b);
  byId("seed-note").textContent = seeds < 2 ? "" : `Of ${seeds} trainings with different seeds this is `
    + `the first: test accuracy ${decimal(own)}, where the mean in the ranking is ${decimal(mean)}.`;
  byId("curves").replaceChildren(drawCurves("accuracy", history.accuracy, history.val_accuracy),
    drawCurves("loss", history.loss, history.val_loss));
  fillTable("confusion", ["true class", ...data.classes], confusion.map((counts, actual) =>
    [data.classes[actual], ...counts.map((count, predicted) =>
      countButton(count, actual, predicted, variant))]));
  moveFocusByArrows(byId("confusion"), data.classes.length);
  byId("cell").replaceChildren();
  const misclassified = variant.examples.filter(([, actual, predicted]) => actual !== predicted);
  byId("misclassified").replaceChildren(
    ...misclassified.slice(0, data.max_misclassified).map(exampleFigure));
  fillExamples();
  const { precision, recall, f1, support } = variant.scores;
  fillTable("classes", ["class", "precision", "recall", "F1", "test images"],
    data.classes.map((label, k) =>
      [label, ...[precision, recall, f1].map((score) => decimal(score[k])), support[k]]));
  byId("settings").textContent = settings;
}
