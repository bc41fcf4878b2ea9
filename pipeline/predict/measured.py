"""What evaluate measured and made of the models at hand, if it was of these very models.

`runs` are those that dvc.lock records (pipeline/tools/lockfile.py), read once as it takes a while.
"""

from collections.abc import Mapping
from pathlib import Path

from pipeline.base.errors import PipelineError
from pipeline.report import metrics, places
from pipeline.tools import lockfile

Runs = Mapping[str, lockfile.StageEntry] | None


def test_accuracy(variant: str, runs: Runs) -> float | None:
    """In [0, 1]; None when the model of `variant` was never evaluated, or is another one since.

    Raises PipelineError when the model is not the one that train made, or when the metrics or
    dvc.lock are damaged.
    """
    is_measured = evaluated(variant, runs)
    if not places.metrics(variant).exists():
        return None
    accuracy = metrics.read(variant).accuracy
    return accuracy if is_measured else None


def litert(variant: str, runs: Runs) -> Path | None:
    """The file for LiteRT of the model that `variant` has now; None where there is none.

    Raises PipelineError when it, or the model, is not the one that was made.
    """
    file = places.litert(variant)
    if not file.exists() or not evaluated(variant, runs):
        return None
    if runs is not None:
        _expect_recorded(file, runs.get(f"evaluate@{variant}"), f"evaluate@{variant}")
    return file


def evaluated(variant: str, runs: Runs) -> bool:
    """Whether the model is the one that evaluate read, by the digest that DVC recorded.

    Without dvc.lock, as where models and reports were only copied, they are taken as belonging
    together, and where the model is missing. PipelineError when it is not the one that train wrote.
    """
    model = places.model(variant)
    if runs is None or not model.exists():
        return True
    found = _expect_recorded(model, runs.get(f"train@{variant}"), f"train@{variant}")
    evaluation = runs.get(f"evaluate@{variant}")
    return evaluation is not None and evaluation.deps.get(str(model)) == found


def _expect_recorded(file: Path, run: lockfile.StageEntry | None, stage: str) -> str:
    """The MD5 of `file`; PipelineError when the last `run` of `stage` wrote another one."""
    found = lockfile.file_md5(file)
    if run and run.outs.get(str(file)) != found:
        raise PipelineError(
            f"{file}: expected the model that {lockfile.LOCK} records, found other bytes; delete "
            "it, run `make check` to see whether DVC's cache is damaged as "
            f"well, then `dvc repro {stage}`"
        )
    return found
