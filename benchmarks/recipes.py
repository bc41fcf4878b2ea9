"""A recipe tried on held-out images: `python benchmarks/recipes.py VARIANT [SETTING=VALUE ...]`.

Trains the variant with the settings changed (of itself, its recipe or its arithmetic) on the
training images, and measures it on the validation images; the test set is not read. Adds a row to
reports/bench/recipes.csv and writes a table of all, seeds together, to recipes.md beside it:
docs/recipes.md says what was chosen by it.
"""

import sys
from pathlib import Path
from typing import Any

import held_out
import numpy as np
import pandas as pd
import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline.base import files, params_file
from pipeline.evaluate import scores, trained
from pipeline.evaluate.manner import Manner
from pipeline.evaluate.views import Views
from pipeline.tools import environment
from pipeline.train import arithmetic, recipe, variant

TABLE = Path("reports/bench/recipes.csv")
IMAGES = 50_000  # in an epoch of the committed trainings, for which operations are counted
SHOWN = ("widths", "epochs", "growth", "precision", "cpu_isa", "seed")
SETTINGS = ["variant", "widths", "epochs", "growth", "arithmetic", "otherwise"]
COLUMNS = {
    "accuracy": ["count", "mean", "std"],
    "one_view": ["mean"],
    "petaflop": ["first"],
}


def tried(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The row of one training."""
    params = params_file.read()
    own = params["variants"][name]
    how, numbers = params["recipes"][own["recipe"]], params["arithmetic"][own["arithmetic"]]
    for key, value in changes.items():
        next(section for section in (own, how, numbers) if key in section)[key] = value
    what, chosen = variant.read(params, name), recipe.read(params, own["recipe"])
    exact = arithmetic.read(params, own["arithmetic"])
    model, images, labels = held_out.train(params, name)
    from pipeline.evaluate import portable

    asked = portable.portable(model)
    shown = Manner(params_file.section(params, "views.whitened", Views), 1.0)
    by_views, alone = trained.answers(asked, images, batch_size=100, variant=name, manner=shown)

    operations = sum(multiplications(model, side) for side in chosen.sides(32))
    return {
        "variant": name,
        "widths": " ".join(map(str, own["widths"])),
        "epochs": chosen.epochs,
        "growth": " ".join(f"{side}:{epochs}" for side, epochs in how["growth"].items()),
        "arithmetic": f"{exact.precision} by {exact.cpu_isa}",
        "otherwise": " ".join(f"{key}={changes[key]}" for key in changes if key not in SHOWN),
        "seed": what.seed,
        "accuracy": round(scores.accuracy(labels, by_views), 4),
        "one_view": round(scores.accuracy(labels, alone), 4),
        # Two for a multiplication and addition; backwards costs twice what forwards does.
        "petaflop": round(6 * operations * IMAGES / 1e15, 4),
        "processor": environment.processor_name(),
    }


def multiplications(model: Any, side: int) -> int:
    """Of the trained convolutions of `model`, for an image of `side` pixels a side."""
    total = 0
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "Conv2D":
            side -= 0 if layer.padding == "same" else layer.kernel_size[0] - 1
            total += side**2 * int(np.prod(layer.kernel.shape)) if layer.trainable else 0
        elif kind == "MaxPooling2D":
            side //= 2
    return total


def summary(rows: pd.DataFrame) -> str:
    """A table of what was tried, the seeds of each together; no spread for a single one."""
    found = rows.groupby(SETTINGS, sort=False).agg(COLUMNS)
    found.columns = pd.Index(["seeds", "accuracy", "±", "one view", "PFLOP"])
    shown = found.reset_index().astype(object)
    digits = ("",) * 7 + (".4f",) * 4
    return shown.where(shown.notna(), None).to_markdown(index=False, floatfmt=digits, missingval="")


def main(name: str, changes: dict[str, Any]) -> None:
    rows = [tried(name, changes)]
    if TABLE.exists():
        rows = [*pd.read_csv(TABLE, keep_default_na=False).to_dict("records"), *rows]
    table = pd.DataFrame(rows)
    files.write_text(TABLE, table.to_csv(index=False, lineterminator="\n"))
    files.write_text(TABLE.with_suffix(".md"), summary(table))
    print(summary(table))


if __name__ == "__main__":
    pairs = (argument.partition("=") for argument in sys.argv[2:])
    main(sys.argv[1], {key: yaml.safe_load(value) for key, _, value in pairs})
