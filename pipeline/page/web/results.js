// The results: ranking and training times of all variants; learning curves and errors of one.

function showRanking() {
  const { ranking, confidence_level } = data;
  const headers = ["variant", "test accuracy", "training time", "seeds",
    `${percent(confidence_level)} interval`, "significantly better than", "published accuracy",
    "parameters"];
  const rows = ranking.map((row, rank) => {
    const worse = row.better_than, below = ranking.length - 1 - rank;
    return [row.variant,
      decimal(row.accuracy) + (row.seeds > 1 ? ` ± ${decimal(row.accuracy_deviation)}` : ""),
      row.time ? duration(row.time[0]) : "not measured", row.seeds,
      `${decimal(row.accuracy_low)} to ${decimal(row.accuracy_high)}`,
      worse.length > 1 && worse.length === below ? `all ${below} below` : worse.join(", "),
      decimal(row.published_accuracy), row.parameters.toLocaleString("en")];
  });
  fillTable("ranking", headers, rows);
  byId("all-columns").addEventListener("change", ({ target }) =>
    byId("ranking").classList.toggle("all", target.checked));
}

function showTime() {
  const rows = data.ranking.filter((row) => row.time);
  const machines = new Set(rows.map((row) => row.time[1]));
  byId("time-note").textContent = `trained on ${[...machines].join(", or ") || "an unknown machine"}`;
  const points = rows.map(({ variant, accuracy, time }) => [variant, time[0] / 60, accuracy]);
  byId("time").append(
    points.length ? drawScatter("minutes", "test accuracy", points) : "not measured");
}

/** A figure of a test image [index, actual, predicted, confidence]; it may be loading still. */
function exampleFigure([index, actual, predicted, confidence]) {
  const { classes } = data, src = `data:image/webp;base64,${examples[index] ?? ""}`;
  const image = make("img", { src, alt: `test image ${index}`, width: 64, height: 64 });
  return make("figure", {}, image, make("figcaption", {},
    `${classes[actual]}, predicted ${classes[predicted]}, probability ${percent(confidence)}`));
}

/** A button for the `count` test images of class `actual` classified as `predicted`. */
function countButton(count, actual, predicted, variant) {
  const label = `${count} of class ${data.classes[actual]}, predicted ${data.classes[predicted]}`;
  const onclick = () => {
    const shown = variant.examples.filter((row) => row[1] === actual && row[2] === predicted);
    byId("cell").replaceChildren(make("p", {}, label), ...shown.map(exampleFigure));
  };
  // At most half a tint, on which text is legible, for all images of the class.
  const style = `--share: ${50 * Math.sqrt(count / variant.scores.support[actual])}%`;
  return make("button", { class: "cell", style, "aria-label": label, onclick }, count);
}

function showVariant() {
  const variant = data.variants[state.variant], { history, confusion, settings } = variant;
  const row = data.ranking.find((each) => each.variant === state.variant);
  byId("seed-note").textContent = row.seeds < 2 ? "" : `Of its ${row.seeds} trainings, which differ `
    + `in their seeds, these are the results of the first: test accuracy ${decimal(variant.accuracy)} `
    + `where the mean in the ranking is ${decimal(row.accuracy)}.`;
  byId("curves").replaceChildren(drawCurves("accuracy", history.accuracy, history.val_accuracy),
    drawCurves("loss", history.loss, history.val_loss));
  fillTable("confusion", ["true class", ...data.classes], confusion.map((counts, actual) =>
    [data.classes[actual], ...counts.map((count, predicted) =>
      countButton(count, actual, predicted, variant))]));
  moveFocusByArrows(byId("confusion"), data.classes.length);
  byId("cell").replaceChildren();
  showMisclassified();
  const { precision, recall, f1, support } = variant.scores;
  fillTable("classes", ["class", "precision", "recall", "F1", "test images"],
    data.classes.map((label, k) =>
      [label, ...[precision, recall, f1].map((score) => decimal(score[k])), support[k]]));
  byId("settings").textContent = settings;
}

function showMisclassified() {
  const { examples: shown } = data.variants[state.variant];
  const misclassified = shown.filter(([, actual, predicted]) => actual !== predicted);
  byId("misclassified").replaceChildren(
    ...misclassified.slice(0, data.max_misclassified).map(exampleFigure));
}

/** Shows all but images and networks, which are loaded later. */
function showResults() {
  showRanking();
  showTime();
  const names = data.ranking.map((row) => row.variant);
  const asked = new URLSearchParams(location.hash.slice(1)).get("variant");
  state.variant = names.includes(asked) ? asked : names[0];
  byId("variant").replaceChildren(...names.map((name) => make("option", {}, name)));
  byId("variant").value = state.variant;
  byId("variant").addEventListener("change", ({ target }) => {
    state.variant = target.value;
    showVariant();
    writeAddress();
  });
  showVariant();
}
