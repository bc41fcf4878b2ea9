"""The test accuracy of the models at hand: what evaluate measured, if it was of this very model."""

from pathlib import Path

import pydantic

from pipeline import recorded, trained
from pipeline.errors import PipelineError
from pipeline.metrics import Metrics


def test_accuracy(variant: str) -> float | None:
    """In [0, 1]; None when the model of `variant` was never evaluated, or is another one since.

    Raises PipelineError when the model is not the one that train made, or when the metrics or
    dvc.lock are damaged.
    """
    is_measured = _is_measured(variant)
    path = Path("reports", variant, "metrics.json")
    try:
        accuracy = Metrics.model_validate_json(path.read_bytes()).accuracy
    except FileNotFoundError:
        return None
    except (OSError, pydantic.ValidationError) as error:
        reason = getattr(error, "strerror", None) or "something else"
        raise PipelineError(
            f"{path}: expected the metrics of a variant, found {reason}; run "
            f"`dvc repro evaluate@{variant}`"
        ) from error
    return accuracy if is_measured else None


def _is_measured(variant: str) -> bool:
    """Whether the model is the one that evaluate read, by the digest that DVC recorded.

    Without dvc.lock, as where models and reports were only copied, they are taken as belonging
    together. PipelineError when it is not the one that train wrote, either.
    """
    model, runs = trained.path(variant), recorded.runs(Path())
    if runs is None or not model.exists():
        return True
    found = recorded.md5(model)
    training, evaluation = runs.get(f"train@{variant}"), runs.get(f"evaluate@{variant}")
    if training and training.outs.get(str(model)) != found:
        raise PipelineError(
            f"{model}: expected the model that {recorded.LOCK} records, found other bytes; delete "
            "it, run `python -m pipeline.intact` to see whether DVC's cache is damaged as well, "
            f"then `dvc repro train@{variant}`"
        )
    return evaluation is not None and evaluation.deps.get(str(model)) == found
