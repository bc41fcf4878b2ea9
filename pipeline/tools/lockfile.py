"""Read dvc.lock without importing DVC, which takes half a second."""

import hashlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core import paths
from pipeline.core.errors import PipelineError

LOCK = Path("dvc.lock")
# DVC looks up a stage without an entry in its run cache, so no stage runs twice.
REMEDY = (
    f"restore the committed file, `git checkout HEAD -- {LOCK}`, or delete it where none is "
    "committed; then run `dvc repro`, which restores newer results from DVC's cache"
)


class StageEntry(NamedTuple):
    """A stage's entry in dvc.lock: MD5 by path of its dependencies and of its outputs."""

    deps: dict[str, str]
    outs: dict[str, str]


def read_lock(folder: Path = Path()) -> dict[str, StageEntry] | None:
    """The entries of the dvc.lock in `folder` by stage name; None when there is no such file.

    Raises PipelineError when the file is half-written, in conflict or otherwise damaged.
    """
    entries = {}
    try:
        stages = YAML(typ="safe").load((folder / LOCK).read_text(encoding="utf-8"))["stages"]
        for name, content in stages.items():
            kinds = (content.get(kind, []) for kind in StageEntry._fields)
            entries[name] = StageEntry(*({out["path"]: out["md5"] for out in k} for k in kinds))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, YAMLError, LookupError, TypeError, AttributeError) as error:
        raise PipelineError(
            f"{LOCK}: expected DVC's lock file, found a damaged one; {REMEDY}"
        ) from error
    return entries


def check_evaluated(variants: Iterable[str]) -> None:
    """Raise PipelineError unless the last evaluation of each variant read its present model.

    `dvc repro --single-item train@NAME` leaves the results of the previous model in place.
    """
    entries, stale = read_lock() or {}, []
    for variant in variants:
        trained, evaluated = entries.get(f"train@{variant}"), entries.get(f"evaluate@{variant}")
        model = str(paths.model(variant))
        if trained and (not evaluated or evaluated.deps.get(model) != trained.outs.get(model)):
            stale.append(f"evaluate@{variant}")
    if stale:
        raise PipelineError(
            f"{paths.RESULTS}: expected results of the models in {LOCK}, found none or older ones "
            f"of {', '.join(stale)}; run `dvc repro {' '.join(stale)}`"
        )


def file_md5(path: Path) -> str:
    """The MD5 of a file in hexadecimal digits, as DVC records it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
