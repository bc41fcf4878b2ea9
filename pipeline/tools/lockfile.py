"""Read dvc.lock without importing DVC, which takes half a second."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.base.errors import PipelineError
from pipeline.report import places

LOCK = Path("dvc.lock")
# DVC looks up a stage without an entry in its run cache, so no stage runs twice.
REMEDY = (
    f"restore the committed file, `git checkout HEAD -- {LOCK}`, or delete it where none is "
    "committed; then run `dvc repro`, which restores newer results from DVC's cache"
)


@dataclass(frozen=True)
class StageEntry:
    """A stage's entry in dvc.lock: MD5 by path of its dependencies and of its outputs."""

    deps: dict[str, str]
    outs: dict[str, str]


def read_lock(folder: Path = Path()) -> dict[str, StageEntry] | None:
    """The entries of the dvc.lock in `folder` by stage name; None when there is no such file.

    Raises PipelineError when the file is half-written, in conflict or otherwise damaged.
    """
    try:
        stages = YAML(typ="safe").load((folder / LOCK).read_text(encoding="utf-8"))["stages"]
        return {name: _entry(content) for name, content in stages.items()}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, YAMLError, LookupError, TypeError, AttributeError) as error:
        raise PipelineError(
            f"{LOCK}: expected DVC's lock file, found a damaged one; {REMEDY}"
        ) from error


def _entry(content: dict[str, Any]) -> StageEntry:
    deps, outs = (
        {item["path"]: item["md5"] for item in content.get(side, [])} for side in ("deps", "outs")
    )
    return StageEntry(deps, outs)


def check_evaluated(variants: Iterable[str]) -> None:
    """Raise PipelineError unless the last evaluation of each variant read its present model.

    `dvc repro --single-item train@NAME` leaves the results of the previous model in place.
    """
    entries = read_lock() or {}
    stale = []
    for variant in variants:
        model = str(places.model(variant))
        trained, evaluated = entries.get(f"train@{variant}"), entries.get(f"evaluate@{variant}")
        if trained and (not evaluated or evaluated.deps.get(model) != trained.outs.get(model)):
            stale.append(f"evaluate@{variant}")
    if stale:
        raise PipelineError(
            f"{places.RESULTS}: expected results of the models in {LOCK}, found none or older ones "
            f"of {', '.join(stale)}; run `dvc repro {' '.join(stale)}`"
        )


def file_md5(path: Path) -> str:
    """The MD5 of a file in hexadecimal digits, as DVC records it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
