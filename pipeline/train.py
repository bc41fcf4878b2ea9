"""Train one variant: `python -m pipeline train VARIANT` writes its model and its history.

A training that was killed goes on after its last finished epoch when it is started again.
"""

import time
from pathlib import Path

import numpy as np

from pipeline import checkpoint, config, files, history, runtime, settings, splits
from pipeline.errors import PipelineError


def main(arguments: list[str]) -> float:
    """Train the variant named in `arguments`; writes models/V.keras and reports/V/history.csv.

    Returns the seconds that killed runs of this training had put into it before this one.
    """
    if len(arguments) != 1:
        raise PipelineError("usage: python -m pipeline train VARIANT")
    started = time.monotonic()
    (name,) = arguments
    model_path, history_path = Path("models", f"{name}.keras"), Path("reports", name, "history.csv")
    params = config.read()
    variant = settings.variant(params, name)
    recipe = settings.recipe(params, variant.recipe)
    training, held_out = _data(recipe)
    runtime.start(recipe)
    if recipe.precision == "bfloat16":
        runtime.expect_bfloat16(f"recipes.{variant.recipe}.precision")
    from pipeline import fit, model_file  # they import TensorFlow, which must be started first

    unfinished = checkpoint.path(name)
    with checkpoint.claimed(unfinished):
        for output in (model_path, history_path):
            files.expect_writable(output)  # half an hour later would be a bad time to learn it
        key = checkpoint.identity((variant, recipe), (*training, *(held_out or ())))
        saved = checkpoint.load(unfinished, key)
        earlier = float(saved["seconds"]) if saved is not None else 0.0

        def save(state: checkpoint.State) -> None:
            seconds = np.array(earlier + time.monotonic() - started)
            checkpoint.save(unfinished, key, {**state, "seconds": seconds})

        network, figures = fit.fit(name, variant, recipe, training, held_out, saved, save)
        model_file.save(network, model_path)
        files.write_text(history_path, history.table(figures))
        unfinished.unlink(missing_ok=True)
    return earlier


def _data(recipe: settings.Recipe) -> tuple[splits.Split, splits.Split | None]:
    """What is trained on, and what is held out, if anything, as `recipe` says."""
    training, validation = splits.read("train"), splits.read("validation")
    if recipe.train_on == "train":
        return training, validation
    images, labels = map(np.concatenate, zip(training, validation, strict=True))
    return splits.Split(images, labels), None
