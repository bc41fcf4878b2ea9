// Where one variant errs, and how it was made.


/** A figure of a test image [place, actual, predicted, confidence]. */
function example([place, actual, predicted, confidence]) {
  const [is, says] = [facts.classes[actual], facts.classes[predicted]];
  const told = actual === predicted ? `${is}, ${percent(confidence)}` : `is ${is}, says ${says}, ${percent(confidence)}`;
  return make("figure", {},
    make("span", { class: "tile", role: "img", "aria-label": `test image ${facts.numbers[place]}`, style: tile("pictures", place, 64) }),
    make("figcaption", {}, told));
}

/** A button for `count` test images of class `actual` called `predicted`, which shows some of them. */
function choice(count, actual, predicted, examples, look) {
  const told = `${count} of class ${facts.classes[actual]}, called ${facts.classes[predicted]}`;
  const button = make("button", {
    ...look, "aria-label": told, "aria-pressed": "false",
    onclick: () => {
      byId("confusion").querySelectorAll("[aria-pressed=true]").forEach((old) => old.setAttribute("aria-pressed", "false"));
      button.setAttribute("aria-pressed", "true");
      const found = examples.filter(([, is, says]) => is === actual && says === predicted);
      byId("cell").replaceChildren(make("p", {}, `${told}${count > found.length ? `; ${found.length} of them` : ""}:`),
        make("div", { class: "pictures" }, ...found.map(example)));
    },
  }, String(count));
  return button;
}

const table = (heads, rows) => [
  make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
  make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells))),
];

function showMatrix({ confusion, examples }) {
  byId("confusion-note").textContent = "Test images of each class (row) by the class that the network names (column). Choose a cell to see some of its images, the most confident first.";
  const cell = (count, actual, predicted) => {
    const share = count / Math.max(1, confusion[actual].reduce((a, b) => a + b));
    const look = { class: "cell", style: `--share: ${(Math.sqrt(share) / 2).toFixed(3)}` }; // ink is read on half a tint
    return make("td", {}, choice(count, actual, predicted, examples, look));
  };
  byId("confusion").className = "matrix";
  byId("confusion").replaceChildren(...table(["true class", ...facts.classes], confusion.map((counts, actual) =>
    [make("th", { scope: "row" }, facts.classes[actual]), ...counts.map((count, predicted) => cell(count, actual, predicted))])));
}

function showPairs({ confused, support, examples }) {
  byId("confusion-note").textContent = "The most confused pairs of classes. Choose a number to see some of its test images, the most confident first.";
  byId("confusion").replaceChildren(...table(["true class", "called", "test images", "of the true class"], confused.map(([actual, predicted, count]) => [
    make("th", { scope: "row" }, facts.classes[actual]),
    make("td", { class: "text" }, facts.classes[predicted]),
    make("td", {}, choice(count, actual, predicted, examples, {})),
    make("td", {}, percent(count / support[actual])),
  ])));
}

function showVariant(name) {
  const variant = facts.variants[name];
  (variant.confusion ? showMatrix : showPairs)(variant);
  byId("cell").replaceChildren();
  const wrong = variant.examples.filter(([, actual, predicted]) => actual !== predicted).sort((a, b) => b[3] - a[3]);
  byId("mistakes").replaceChildren(...wrong.slice(0, facts.mistakes).map(example));
  byId("classes").replaceChildren(...table(["class", "precision", "recall", "F1", "test images"], facts.classes.map((label, k) => [
    make("th", { scope: "row" }, label),
    ...["precision", "recall", "f1"].map((score) => make("td", {}, four(variant[score][k]))),
    make("td", {}, variant.support[k].toLocaleString("en")),
  ])));
  const settings = Object.entries(variant.settings).map(([part, keys]) =>
    `${part}\n${Object.entries(keys).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`).join("\n")}`);
  const libraries = Object.entries(facts.libraries).map(([library, version]) => `${library} ${version}`);
  byId("made").replaceChildren(
    make("pre", {}, settings.join("\n")),
    make("p", {}, `Libraries: ${libraries.join(", ")}.`),
    make("p", {}, "The commit that recorded this training: ", make("code", {}, `git log -S ${variant.digest} -- dvc.lock`)));
}
