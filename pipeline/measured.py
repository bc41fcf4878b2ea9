"""The test accuracy of the models at hand: what evaluate measured, if it was of this very model."""

import hashlib
from pathlib import Path

import pydantic
from ruamel.yaml import YAML

from pipeline import trained
from pipeline.errors import PipelineError
from pipeline.metrics import Metrics

LOCK = Path("dvc.lock")


def test_accuracy(variant: str) -> float | None:
    """In [0, 1]; None when the model of `variant` was never evaluated, or is another one since.

    Raises PipelineError when the metrics are malformed.
    """
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
    return None if _is_newer(variant) else accuracy


def _is_newer(variant: str) -> bool:
    """Whether the model is not the one that evaluate read, by the digest that DVC recorded.

    Without dvc.lock, as where models and reports were only copied, they are taken as belonging
    together.
    """
    model = trained.path(variant)
    if not LOCK.exists() or not model.exists():
        return False
    stages = YAML(typ="safe").load(LOCK.read_text(encoding="utf-8"))["stages"]
    deps = stages.get(f"evaluate@{variant}", {}).get("deps", [])
    recorded = {dep["path"]: dep["md5"] for dep in deps}
    found = hashlib.md5(model.read_bytes(), usedforsecurity=False).hexdigest()
    return recorded.get(str(model)) != found
