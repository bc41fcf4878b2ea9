"""The model card of the network in the page, in the format of Hugging Face."""

import json
from pathlib import Path

from pipeline.comparison.results import Result
from pipeline.comparison.tables import escape_markdown
from pipeline.page.page_data import PageData

TEMPLATE = Path("pipeline/page/card.md")
LICENCES = {
    "cifar10": "MIT, as the code. CIFAR-10 has no licence of its own; its author asks to cite "
    "Krizhevsky, *Learning Multiple\nLayers of Features from Tiny Images*, 2009.",
    "photos": "The code is under MIT. State the licence of the photos, and of a network trained on "
    "them, before you share it.",
}
PINS = tuple(Path("requirements", f"{name}.txt") for name in ("numpy", "tensorflow", "reports"))


def render(result: Result, data: PageData, kind: str, dataset: str, settings: str) -> str:
    """The card of the variant of `result`, trained with `settings` on the `dataset` of that name.

    `kind` is the data set's in params.yaml.
    """
    hub = "uoft-cs/cifar10" if kind == "cifar10" else None
    in_yaml = json.dumps(dataset, ensure_ascii=False)
    names = [escape_markdown(name) for name in result.classes]
    interval, time = "", "see the first seed in `reports/training_times.csv`"
    # Of the variants of several seeds, the ranking has the first alone.
    for row in (row for row in data.ranking if row.variant == result.variant):
        interval = f" (mean over seeds, {row.seeds}: {row.accuracy:.4f}, "
        interval += f"{100 * data.confidence_level:g} % interval {row.accuracy_low:.4f} to "
        interval += f"{row.accuracy_high:.4f})"
        time = f"{row.time[0]:.0f} s on {row.time[1]}" if row.time else "not measured"
    return TEMPLATE.read_text(encoding="utf-8").format(
        name=result.variant,
        parameters=f"{result.metrics.parameters:,}",
        count=len(names),
        side=data.side,
        classes=", ".join(names),
        settings=settings.rstrip(),
        libraries=", ".join(pin for path in PINS for pin in path.read_text().split()),
        time=time,
        images=f"{result.test_images:,}",
        accuracy=result.metrics.accuracy,
        interval=interval,
        loss=result.metrics.loss,
        macro_f1=result.metrics.model_dump()["macro_f1"],
        dataset=escape_markdown(dataset),
        dataset_name=in_yaml,
        dataset_type=hub or in_yaml,
        hub=f"license: mit\ndatasets: [{hub}]\n" if hub else "",
        licence=LICENCES[kind],
    )
