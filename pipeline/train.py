"""Train one variant: `python -m pipeline train VARIANT` writes its model and its history."""

from pathlib import Path

from pipeline import config, files, runtime, settings, splits
from pipeline.errors import PipelineError

HISTORY = ("accuracy", "loss", "val_accuracy", "val_loss")


def main(arguments: list[str]) -> None:
    """Train the variant named in `arguments`; writes models/V.keras and reports/V/history.csv."""
    if len(arguments) != 1:
        raise PipelineError("usage: python -m pipeline train VARIANT")
    (name,) = arguments
    params = config.read()
    variant = settings.variant(params, name)
    recipe = settings.recipe(params, variant.recipe)
    limits = config.section(params, "runtime", runtime.Runtime)
    training, validation = splits.read("train"), splits.read("validation")

    runtime.start(limits)
    from pipeline import fit, model_file  # they import TensorFlow, which must be started first

    network, history = fit.fit(
        name, variant, recipe, training, validation, limits.inference_batch_size
    )
    model_file.save(network, Path("models") / f"{name}.keras")
    files.write_text(Path("reports") / name / "history.csv", history_table(history))


def history_table(history: dict[str, list[float]]) -> str:
    """The history as CSV, a row an epoch counted from 1, six decimals."""
    rows = [",".join(("epoch", *HISTORY))]
    for epoch, figures in enumerate(zip(*(history[key] for key in HISTORY), strict=True), 1):
        rows.append(",".join((str(epoch), *(f"{figure:.6f}" for figure in figures))))
    return "\n".join(rows)
