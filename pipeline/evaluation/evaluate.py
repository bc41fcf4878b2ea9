"""Stage evaluate@variant: a trained model on the test set, which it never saw."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import plotting, runtime
from pipeline.core import files, paths
from pipeline.core.params import lookup, read_params, read_section
from pipeline.core.splits import read_class_names, read_split
from pipeline.evaluation.config import Evaluate, Inference, Predict, read_inference_config
from pipeline.evaluation.inference import calibrate, held_out_logits, load_model, predict_logits
from pipeline.evaluation.metrics import CSV, Predictions, class_scores, compute_metrics
from pipeline.evaluation.tflite import save_tflite

COLUMNS = 5  # of the gallery
CELL = 1.8  # inches: two lines of text fit above an image


def main(arguments: list[str]) -> None:
    """Evaluate the variant `arguments[0]`; where its temperature is null, first fit that."""
    (variant,) = arguments
    params = read_params()
    settings = read_section(params, "evaluate", Evaluate)
    inference = read_section(params, "inference", Inference)
    config = read_inference_config(params, variant)
    class_names, (images, one_hot) = read_class_names(), read_split("test")
    runtime.start(inference.cpu_isa)
    model = load_model(variant, len(class_names))
    predict = partial(predict_logits, model, batch_size=inference.batch_size)
    if lookup(params, f"temperatures.{lookup(params, f'variants.{variant}.recipe')}") is None:
        rejection_rate = read_section(params, "predict", Predict).rejection_rate
        held_out = held_out_logits(predict, read_split("validation"), config)
        config = calibrate(held_out, config, rejection_rate)
    labels, logits = one_hot.argmax(axis=1), predict(images, config=config)
    fitted = (config.rejection_threshold, config.temperature)
    predictions = Predictions(labels, *logits, settings.calibration_bins, *fitted)
    metrics = compute_metrics(predictions, model.count_params())
    by_class = pd.DataFrame({"class": class_names, **class_scores(predictions.confusion)})
    table = prediction_table(labels, predictions.probabilities, class_names)
    save_tflite(paths.tflite(variant), model, class_names, config, allow_custom_ops=True)
    draw_gallery(paths.misclassified(variant), variant, images, table, settings.misclassified)
    files.write_text(paths.predictions(variant), table.to_csv(**CSV))
    files.write_text(paths.classes(variant), by_class.to_csv(**CSV))
    files.write_json(paths.metrics(variant), metrics.model_dump())
    print(f"{variant}: test accuracy {metrics.accuracy:.4f}, test loss {metrics.loss:.4f}")


def prediction_table(
    labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]
) -> pd.DataFrame:
    """A row per image: its true class, the most probable one, and the probability of the latter.

    `labels` are true class indices (N,), `probabilities` float (N, K).
    """
    names = np.array(class_names)
    return pd.DataFrame(
        {
            "actual": names[labels],
            "predicted": names[probabilities.argmax(axis=1)],
            "confidence": probabilities.max(axis=1),
        }
    )


def draw_gallery(
    path: Path, variant: str, images: np.ndarray, predictions: pd.DataFrame, count: int
) -> None:
    """The most confident misclassified test images, at most `count`, as the PNG `path`.

    `predictions` is the prediction table of the `images`, float32 (N, S, S, 3) in [0, 1].
    """
    errors = predictions[predictions["actual"] != predictions["predicted"]]
    errors = errors.sort_values("confidence", ascending=False, kind="stable").head(count)
    rows = max(1, math.ceil(len(errors) / COLUMNS))
    size = (COLUMNS * CELL, rows * (CELL + 0.4) + 0.6)
    grid = {"nrows": rows, "ncols": COLUMNS, "squeeze": False}
    with plotting.figure(path, figsize=size, **grid) as (figure, axes):
        figure.suptitle(
            f"{variant}: the {len(errors)} most confident misclassified test images\n"
            "predicted class and its probability, true class"
        )
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, error in zip(axes.flat, errors.itertuples(), strict=False):
            axis.imshow(images[error.Index], interpolation="nearest")
            title = f"{error.predicted} {error.confidence:.2%}\ntrue: {error.actual}"
            axis.set_title(title, fontsize=9)
