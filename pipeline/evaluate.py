"""Stage evaluate@variant: how good a trained model is on images it never saw: the test set."""

from pathlib import Path
from typing import Annotated

import numpy as np
import pydantic

from pipeline import config, files, runtime, scores, splits, trained
from pipeline.cifar10 import CLASSES
from pipeline.errors import PipelineError
from pipeline.metrics import Metrics
from pipeline.views import ONE, Views

DECIMALS = 6  # 10,000 images resolve 0.0001; float32 probabilities hold about seven digits


class Evaluate(config.Section):
    """How the test set is read and how much of the result is shown."""

    calibration_bins: pydantic.PositiveInt
    # More than 100 would make a picture of over 4 million pixels.
    mistakes: Annotated[int, pydantic.Field(ge=1, le=100)]


def measure(
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    loss: float,
    one_view_accuracy: float,
    calibration_bins: int,
    parameters: int,
) -> Metrics:
    """All figures of a model of `parameters` weights, rounded; arrays as in pipeline/scores.py."""
    confusion = confusion_matrix(labels, probabilities)
    return Metrics(
        accuracy=round(scores.accuracy(labels, probabilities), DECIMALS),
        loss=round(loss, DECIMALS),
        top2_accuracy=round(scores.top_k_accuracy(labels, probabilities, 2), DECIMALS),
        macro_f1=round(scores.macro_f1(confusion), DECIMALS),
        calibration_error=round(
            scores.calibration_error(labels, probabilities, calibration_bins), DECIMALS
        ),
        one_view_accuracy=round(one_view_accuracy, DECIMALS),
        parameters=parameters,
    )


def confusion_matrix(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Counts int64 (10, 10), rows the true classes, columns the most probable ones."""
    return scores.confusion_matrix(labels, probabilities.argmax(axis=1), len(CLASSES))


def main(arguments: list[str]) -> None:
    """Evaluate the variant `arguments[0]`; writes reports/VARIANT/."""
    if len(arguments) != 1:
        raise PipelineError(
            f"evaluate: expected one variant, found {arguments}; "
            "run `python -m pipeline evaluate VARIANT`"
        )
    variant = arguments[0]
    params = config.read()
    settings = config.section(params, "evaluate", Evaluate)
    limits = config.section(params, "runtime", runtime.Runtime)
    images, one_hot = splits.read("test")
    labels = one_hot.argmax(axis=1)
    runtime.start(limits)
    model = trained.load(variant)
    seen = trained.seen_from(params, model)

    def ask(seen: Views) -> np.ndarray:
        return trained.probabilities(
            model, images, batch_size=limits.inference_batch_size, variant=variant, seen=seen
        )

    one_view = ask(ONE)
    if seen.several:
        probabilities = ask(seen)
        loss = scores.cross_entropy(labels, probabilities)
    else:
        probabilities = one_view
        loss = trained.cross_entropy(model, images, one_hot, batch_size=limits.inference_batch_size)
    metrics = measure(
        labels,
        probabilities,
        loss=loss,
        one_view_accuracy=scores.accuracy(labels, one_view),
        calibration_bins=settings.calibration_bins,
        parameters=model.count_params(),
    )
    _save(variant, images, labels, probabilities, metrics, settings.mistakes)
    print(
        f"{variant}: accuracy {metrics.accuracy:.4f}, loss {metrics.loss:.4f} "
        f"on {len(images):,} test images"
    )


def _save(
    variant: str,
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    metrics: Metrics,
    count: int,
) -> None:
    from pipeline import evaluation_tables, mistakes

    folder = Path("reports", variant)
    confusion = confusion_matrix(labels, probabilities)
    tables = {
        "classes": evaluation_tables.per_class(confusion),
        "predictions": evaluation_tables.predictions(labels, probabilities),
    }
    for name, table in tables.items():
        text = table.to_csv(index=False, float_format=f"%.{DECIMALS}f", lineterminator="\n")
        files.write_text(folder / f"{name}.csv", text)
    mistakes.draw(
        folder / "mistakes.png",
        variant,
        images=images,
        labels=labels,
        probabilities=probabilities,
        count=count,
    )
    files.write_json(folder / "metrics.json", metrics.model_dump())
