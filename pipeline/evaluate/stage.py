"""Stage evaluate@variant: how good a trained model is on images it never saw: the test set."""

import numpy as np
import pandas as pd

from pipeline import runtime
from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.data import splits
from pipeline.evaluate import examples, metrics, mistakes, tables, trained
from pipeline.evaluate.metrics import DECIMALS, Answers
from pipeline.evaluate.settings import Evaluate
from pipeline.evaluate.views import ONE, Views
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
    images, one_hot = splits.read("test")
    runtime.start(limits.cpu_isa)
    model = trained.load(variant)

    def asked(seen: Views) -> np.ndarray:
        size = limits.inference_batch_size
        return trained.logits(model, images, batch_size=size, variant=variant, seen=seen)

    seen = trained.seen_from(params, model)
    one_view = asked(ONE)
    logits = asked(seen) if seen.several else one_view
    said = Answers(one_hot.argmax(axis=1), logits, one_view, settings.calibration_bins)
    found = metrics.measure(said, model.count_params())
    _save(variant, images, said, found, settings)
    print(
        f"{variant}: accuracy {found.accuracy:.4f}, loss {found.loss:.4f} "
        f"on {len(images):,} test images"
    )


def _save(
    variant: str, images: np.ndarray, said: Answers, found: Metrics, settings: Evaluate
) -> None:
    mistakes.draw(
        places.mistakes(variant),
        variant,
        images=images,
        labels=said.labels,
        probabilities=said.probabilities,
        count=settings.mistakes,
    )
    predictions = tables.predictions(said.labels, said.probabilities)
    worth = tables.examples(said.labels, said.probabilities, settings.examples)
    files.write_text(places.predictions(variant), _csv(predictions))
    files.write_text(examples.path(variant), _csv(worth))
    files.write_text(places.classes(variant), _csv(tables.per_class(said.confusion)))
    right.write(places.right(variant), said.right)
    files.write_json(places.metrics(variant), found.model_dump())


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format=f"%.{DECIMALS}f", lineterminator="\n")
