"""What dvc.lock records, read without DVC, which takes half a second to import."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.base.errors import PipelineError
from pipeline.base.params_file import PARAMS_FILE
from pipeline.report import places

LOCK = Path("dvc.lock")
# A stage without an entry is looked up in DVC's run cache, so nothing is made twice.
REMEDY = (
    f"take the committed one, `git checkout HEAD -- {LOCK}`, or delete it where there is none; "
    "then run `dvc repro`, which finds in DVC's cache what was made since"
)


@dataclass(frozen=True)
class Run:
    """The last run of a stage: the MD5 of each file or folder that it read, and that it wrote.

    `params` holds what it was given of params.yaml, by dotted key.
    """

    deps: dict[str, str]
    params: dict[str, Any]
    outs: dict[str, str]


def runs(folder: Path) -> dict[str, Run] | None:
    """The last run of each stage by its name; None when `folder` has no dvc.lock.

    Raises PipelineError when the file is half-written, in conflict or otherwise damaged.
    """
    try:
        stages = YAML(typ="safe").load((folder / LOCK).read_text(encoding="utf-8"))["stages"]
        return {name: _run(entry) for name, entry in stages.items()}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, YAMLError, LookupError, TypeError, AttributeError) as error:
        raise PipelineError(
            f"{LOCK}: expected the record of the stages' last runs, found a damaged file; {REMEDY}"
        ) from error


def expect_current(variants: Iterable[str]) -> None:
    """Raise PipelineError unless the results of `variants` are of the models that were last made.

    Where one stage was run by itself, the results of an earlier model may still be there.
    """
    recorded = runs(Path()) or {}
    old = []
    for variant in variants:
        model = str(places.model(variant))
        trained, evaluated = recorded.get(f"train@{variant}"), recorded.get(f"evaluate@{variant}")
        if trained and (not evaluated or evaluated.deps.get(model) != trained.outs.get(model)):
            old.append(f"evaluate@{variant}")
    if old:
        raise PipelineError(
            f"{places.RESULTS}: expected the results of the models that {LOCK} records, found "
            f"none or older ones of {', '.join(old)}; run `dvc repro {' '.join(old)}`"
        )


def md5(path: Path) -> str:
    """The MD5 of a file in hexadecimal digits, as DVC records it."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def folder_md5(folder: Path, files: Iterable[Path]) -> str:
    """What DVC records of a `folder` that holds `files`, below it: the MD5 of the list of them."""
    listing = [{"md5": md5(file), "relpath": file.relative_to(folder).as_posix()} for file in files]
    content = json.dumps(sorted(listing, key=lambda item: item["relpath"])).encode()
    return hashlib.md5(content, usedforsecurity=False).hexdigest() + ".dir"


def digest(path: Path) -> str | None:
    """What DVC would record of the file or folder at `path`; None when there is none.

    All files in the folder count, also those that .dvcignore names.
    """
    if path.is_dir():
        return folder_md5(path, (file for file in path.rglob("*") if file.is_file()))
    return md5(path) if path.exists() else None


def _run(entry: dict[str, Any]) -> Run:
    params = dict(entry.get("params", {}).get(str(PARAMS_FILE), {}))
    return Run(_digests(entry, "deps"), params, _digests(entry, "outs"))


def _digests(entry: dict[str, Any], side: str) -> dict[str, str]:
    return {item["path"]: item["md5"] for item in entry.get(side, [])}
