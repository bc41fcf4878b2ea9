"""A recipe tried on held-out images: `python benchmarks/recipes.py VARIANT [SETTING=VALUE ...]`.

Trains the variant with the settings changed (of itself, its recipe or its numerics) on the
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

from pipeline.core import files
from pipeline.core.params import read_params
from pipeline.evaluation.config import read_inference_config
from pipeline.evaluation.inference import predict_logits
from pipeline.evaluation.metrics import accuracy
from pipeline.tools import environment
from pipeline.training.variant import read_training_config

TABLE = Path("reports/bench/recipes.csv")
IMAGES = 50_000  # in an epoch of the committed trainings, for which operations are counted
SHOWN = ("widths", "epochs", "progressive_resizing", "precision", "cpu_isa", "seed")
SETTINGS = ["variant", "widths", "epochs", "growth", "arithmetic", "otherwise"]
COLUMNS = {
    "accuracy": ["count", "mean", "std"],
    "one_view": ["mean"],
    "petaflop": ["first"],
}


def try_recipe(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The row of one training."""
    params = read_params()
    held_out.change_settings(params, name, changes)
    config = read_training_config(params, name)
    model, images, labels = held_out.train(params, name)
    # It imports TensorFlow, which the training starts.
    from pipeline.evaluation.deterministic import make_deterministic

    logits, no_tta = predict_logits(
        make_deterministic(model),
        images,
        batch_size=100,
        config=read_inference_config(params, name).model_copy(update={"temperature": 1.0}),
    )
    sizes = config.recipe.progressive_resizing.items()
    operations = sum(multiplications(model, side) for side in config.recipe.image_sizes(32))
    return {
        "variant": name,
        "widths": " ".join(map(str, params["variants"][name]["widths"])),
        "epochs": config.recipe.epochs,
        "growth": " ".join(f"{size}:{epochs}" for size, epochs in sizes),
        "arithmetic": f"{config.numerics.precision} by {config.numerics.cpu_isa}",
        "otherwise": " ".join(f"{key}={changes[key]}" for key in changes if key not in SHOWN),
        "seed": config.network.seed,
        "accuracy": round(accuracy(labels, logits), 4),
        "one_view": round(accuracy(labels, no_tta), 4),
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
    """A table of the trials, the seeds of each together; no spread for a single one."""
    grouped = rows.groupby(SETTINGS, sort=False).agg(COLUMNS)
    grouped.columns = pd.Index(["seeds", "accuracy", "±", "one view", "PFLOP"])
    table = grouped.reset_index().astype(object)
    digits = ("",) * 7 + (".4f",) * 4
    return table.where(table.notna(), None).to_markdown(index=False, floatfmt=digits, missingval="")


def main(name: str, changes: dict[str, Any]) -> None:
    rows = [try_recipe(name, changes)]
    if TABLE.exists():
        rows = [*pd.read_csv(TABLE, keep_default_na=False).to_dict("records"), *rows]
    table = pd.DataFrame(rows)
    files.write_text(TABLE, table.to_csv(index=False, lineterminator="\n"))
    files.write_text(TABLE.with_suffix(".md"), summary(table))
    print(summary(table))


if __name__ == "__main__":
    pairs = (argument.partition("=") for argument in sys.argv[2:])
    main(sys.argv[1], {key: yaml.safe_load(value) for key, _, value in pairs})
