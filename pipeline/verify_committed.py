"""What a commit says about a variant: its results, and on what machine and from what they came."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from pipeline import config, environment, recorded
from pipeline.errors import PipelineError
from pipeline.metrics import Metrics


@dataclass(frozen=True)
class Committed:
    """The results of `variant` in a commit.

    `data` and `outputs` map the paths of what preprocess, and of what train and evaluate, write to
    their MD5; `history` is rows of CSV without header; `machine` is empty when no run is recorded;
    `stale` names the inputs that are not, in the same commit, what its results were made from.
    """

    variant: str
    data: Mapping[str, str]
    outputs: Mapping[str, str]
    history: tuple[str, ...]
    metrics: Metrics
    machine: Mapping[str, Any]
    stale: tuple[str, ...]


def read(folder: Path, variant: str) -> Committed:
    """The results of `variant` in `folder`, a copy of a commit in which nothing has run yet.

    Raises PipelineError when they are missing, malformed, or not those that dvc.lock names.
    """
    entries = _entries(folder, ("preprocess", f"train@{variant}", f"evaluate@{variant}"))
    preprocess, train, evaluate = entries
    figures, history = metrics(folder, variant), _rows(folder, variant)
    outputs = {**train.outs, **evaluate.outs}
    if wrong := _changed(folder, outputs):
        raise PipelineError(
            f"{', '.join(wrong)}: expected in the commit what its {recorded.LOCK} names, found "
            "another content; run `dvc repro` and commit both"
        )
    return Committed(
        variant=variant,
        data=preprocess.outs,
        outputs=outputs,
        history=history,
        metrics=figures,
        machine=machine(folder, f"train@{variant}"),
        stale=_stale(folder, entries),
    )


def metrics(folder: Path, variant: str) -> Metrics:
    """What evaluate wrote about `variant` in `folder`; PipelineError where that is no metrics.

    A copy of a commit has no more of its reports than git has, so not all that compare reads.
    """
    path = Path("reports", variant, "metrics.json")
    try:
        return Metrics.model_validate_json((folder / path).read_bytes())
    except (OSError, pydantic.ValidationError) as error:
        raise _unfit(path, "the metrics of a variant", error, f"evaluate@{variant}") from error


def machine(folder: Path, stage: str) -> dict[str, Any]:
    """What the run of `stage` recorded in `folder`, less the time it took; {} when it did not."""
    with suppress(OSError, ValueError):
        run = json.loads((folder / environment.path(stage)).read_text(encoding="utf-8"))
        if isinstance(run, dict) and isinstance(run.get("libraries"), dict):
            return {name: value for name, value in run.items() if name != "seconds"}
    return {}


def _rows(folder: Path, variant: str) -> tuple[str, ...]:
    """The committed history of `variant`, without its header."""
    path = Path("reports", variant, "history.csv")
    try:
        return tuple((folder / path).read_text(encoding="utf-8").splitlines()[1:])
    except OSError as error:
        raise _unfit(path, "the history of a training", error, f"train@{variant}") from error


def _unfit(path: Path, expected: str, error: Exception, stage: str) -> PipelineError:
    found = getattr(error, "strerror", None) or "something else"
    return PipelineError(
        f"in the commit, {path}: expected {expected}, found {found}; run `dvc repro {stage}` and "
        "commit the results"
    )


def _entries(folder: Path, names: Sequence[str]) -> list[recorded.Run]:
    """The entries of dvc.lock for the stages `names`."""
    try:
        runs = recorded.runs(folder) or {}
        # One that is cut off lacks its outputs: they come last.
        lacking = [name for name in names if name not in runs or not runs[name].outs]
        found = f"none for {', '.join(lacking)}"
    except PipelineError:  # whose remedy is the committed file, and that is the damaged one
        lacking, found = list(names), "a damaged file"
    if lacking:
        raise PipelineError(
            f"{recorded.LOCK} of the commit: expected complete entries for {', '.join(names)}, "
            f"found {found}; run `dvc repro` and commit its results first"
        )
    return [runs[name] for name in names]


def _changed(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Those of `files`, path to MD5, that are in `folder` with other bytes."""
    return [
        path
        for path, digest in files.items()
        if (folder / path).is_file() and recorded.md5(folder / path) != digest
    ]


def _stale(folder: Path, entries: Iterable[recorded.Run]) -> tuple[str, ...]:
    """The files and parameters that `entries` were made from and `folder` has otherwise."""
    now = config.read(folder / config.PARAMS_FILE)
    names: list[str] = []
    for entry in entries:
        names += _changed(folder, entry.deps)
        names += [
            f"{config.PARAMS_FILE}: {key}"
            for key, value in entry.params.items()
            if _value(now, key) != value
        ]
    return tuple(dict.fromkeys(names))


def _value(params: Any, dotted: str) -> Any:
    """The value of `params` at a dotted key; None when it has none."""
    for key in dotted.split("."):
        params = params.get(key) if isinstance(params, Mapping) else None
    return params
