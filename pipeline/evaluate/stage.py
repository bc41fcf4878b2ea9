"""Stage evaluate@variant: how good a trained model is on images it never saw: the test set."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline import runtime
from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.data import classes, splits
from pipeline.evaluate import litert, manner, metrics, mistakes, tables, trained
from pipeline.evaluate.metrics import DECIMALS, Answers
from pipeline.evaluate.settings import Evaluate, Predict
from pipeline.report import places, right
from pipeline.report.metrics import Metrics


def main(arguments: list[str]) -> None:
    """Evaluate the variant `arguments[0]`: its metrics, tables and most confident mistakes."""
    if len(arguments) != 1:
        raise PipelineError(
            f"evaluate: expected one variant, found {arguments}; "
            "run `python -m pipeline evaluate VARIANT`"
        )
    variant = arguments[0]
    params = params_file.read()
    settings = params_file.section(params, "evaluate", Evaluate)
    limits = params_file.section(params, "runtime", runtime.Runtime)
    names, (images, one_hot) = classes.read(), splits.read("test")
    runtime.start(limits.cpu_isa)
    model = trained.load(variant)
    trained.expect(model.output_shape[1:], (len(names),), "output", variant)

    logits, one_view = trained.answers(
        model,
        images,
        batch_size=limits.inference_batch_size,
        variant=variant,
        manner=manner.read(params, variant, model.name),
    )
    unlikely = params_file.section(params, "predict", Predict).unlikely
    labels = one_hot.argmax(axis=1)
    said = Answers(labels, logits, one_view, settings.calibration_bins, unlikely)
    found = metrics.measure(said, model.count_params())
    litert.save(places.litert(variant), model, names)
    _save(variant, images, names, said, found, settings)
    print(
        f"{variant}: accuracy {found.accuracy:.4f}, loss {found.loss:.4f} "
        f"on {len(images):,} test images"
    )


def _save(
    variant: str,
    images: np.ndarray,
    names: Sequence[str],
    said: Answers,
    found: Metrics,
    settings: Evaluate,
) -> None:
    mistakes.draw(
        places.mistakes(variant),
        variant,
        images=images,
        labels=said.labels,
        probabilities=said.probabilities,
        classes=names,
        count=settings.mistakes,
    )
    predictions = tables.predictions(said.labels, said.probabilities, names)
    worth = tables.examples(said.labels, said.probabilities, names, settings.examples)
    bins = tables.reliability(said.labels, said.probabilities, settings.calibration_bins)
    files.write_text(places.predictions(variant), _csv(predictions))
    files.write_text(places.reliability(variant), _csv(bins))
    files.write_text(places.examples(variant), _csv(worth))
    files.write_text(places.classes(variant), _csv(tables.per_class(said.confusion, names)))
    right.write(places.right(variant), said.right)
    files.write_json(places.metrics(variant), found.model_dump())


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format=f"%.{DECIMALS}f", lineterminator="\n")
