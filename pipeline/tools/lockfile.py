"""Read dvc.lock without importing DVC, which takes half a second."""

import hashlib
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core.errors import PipelineError

LOCK = Path("dvc.lock")
# DVC looks up a stage without an entry in its run cache, so no stage runs twice.
REMEDY = (
    f"restore the committed file, `git checkout HEAD -- {LOCK}`, or delete it where none is "
    "committed; then run `dvc repro`, which restores newer results from DVC's cache"
)


def read_outputs(folder: Path = Path()) -> dict[str, dict[str, str]]:
    """MD5 by path of the outputs of each stage in the dvc.lock of `folder`; empty without one.

    Raises PipelineError when the file is half-written, in conflict or otherwise damaged.
    """
    if not (folder / LOCK).exists():
        return {}
    try:
        stages = YAML(typ="safe").load((folder / LOCK).read_text(encoding="utf-8"))["stages"]
        return {
            name: {out["path"]: out["md5"] for out in stage.get("outs", [])}
            for name, stage in stages.items()
        }
    except (OSError, ValueError, YAMLError, LookupError, TypeError, AttributeError) as error:
        raise PipelineError(
            f"{LOCK}: expected DVC's lock file, found a damaged one; {REMEDY}"
        ) from error


def file_md5(path: Path) -> str:
    """The MD5 of a file in hexadecimal digits, as DVC records it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
