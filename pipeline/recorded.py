"""What dvc.lock records, read without DVC, which takes half a second to import."""

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.config import PARAMS_FILE
from pipeline.errors import PipelineError

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


def md5(path: Path) -> str:
    """The MD5 of a file in hexadecimal digits, as DVC records it."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def _run(entry: dict[str, Any]) -> Run:
    params = dict(entry.get("params", {}).get(str(PARAMS_FILE), {}))
    return Run(_digests(entry, "deps"), params, _digests(entry, "outs"))


def _digests(entry: dict[str, Any], side: str) -> dict[str, str]:
    return {item["path"]: item["md5"] for item in entry.get(side, [])}
