"""The test accuracy of the models at hand: what evaluate measured, if it was of this very model."""

from pathlib import Path

from pipeline.base.errors import PipelineError
from pipeline.ops import recorded
from pipeline.report import metrics, places


def test_accuracy(variant: str) -> float | None:
    """In [0, 1]; None when the model of `variant` was never evaluated, or is another one since.

    Raises PipelineError when the model is not the one that train made, or when the metrics or
    dvc.lock are damaged.
    """
    is_measured = _is_measured(variant)
    if not places.metrics(variant).exists():
        return None
    accuracy = metrics.read(variant).accuracy
    return accuracy if is_measured else None


def _is_measured(variant: str) -> bool:
    """Whether the model is the one that evaluate read, by the digest that DVC recorded.

    Without dvc.lock, as where models and reports were only copied, they are taken as belonging
    together. PipelineError when it is not the one that train wrote, either.
    """
    model, runs = places.model(variant), recorded.runs(Path())
    if runs is None or not model.exists():
        return True
    found = recorded.md5(model)
    training, evaluation = runs.get(f"train@{variant}"), runs.get(f"evaluate@{variant}")
    if training and training.outs.get(str(model)) != found:
        raise PipelineError(
            f"{model}: expected the model that {recorded.LOCK} records, found other bytes; delete "
            "it, run `python -m pipeline.ops.intact` to see whether DVC's cache is damaged as "
            f"well, then `dvc repro train@{variant}`"
        )
    return evaluation is not None and evaluation.deps.get(str(model)) == found
