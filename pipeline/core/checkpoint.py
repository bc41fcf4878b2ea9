"""The checkpoint of an unfinished training, from which only the very same training resumes.

Not an output: DVC deletes those before a stage runs. It is replaced after each epoch and deleted
when the training has succeeded.
"""

import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import filelock
import numpy as np
from ruamel.yaml import YAML

from pipeline.core import files
from pipeline.core.errors import PipelineError
from pipeline.core.params import ConfigModel

State: TypeAlias = Mapping[str, np.ndarray]

# Longer than a training lives whose DVC was killed (pipeline/tools/processes.py).
LOCK_TIMEOUT = 30  # seconds
_FINGERPRINT = "fingerprint"


def source_files(settings: Mapping[str, str]) -> list[Path]:
    """The code and pins on which dvc.yaml has a training depend, with `settings[KEY]` for
    `${item.KEY}`."""
    stages = YAML(typ="safe").load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    deps = " ".join(stages["train"]["do"]["deps"])
    for key, value in settings.items():
        deps = deps.replace(f"${{item.{key}}}", value)
    sources = [Path(dep) for dep in deps.split() if dep.startswith(("pipeline/", "requirements/"))]
    return sorted(
        file for dep in sources for file in (dep.rglob("*.py") if dep.is_dir() else [dep])
    )


def fingerprint(
    sections: Iterable[ConfigModel], arrays: Iterable[np.ndarray], sources: Iterable[Path]
) -> str:
    """SHA-256 of all that a training's result depends on: settings, data, and code and pins."""
    digest = hashlib.sha256()
    for section in sections:
        digest.update(f"{type(section).__module__} {section.model_dump_json()}\n".encode())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    for source in sources:
        content = source.read_bytes()
        digest.update(f"{source.as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def load(path: Path, expected: str) -> State | None:
    """The state that `save` stored in `path` with the fingerprint `expected`; None without one.

    A line is printed about a checkpoint of another training, or a damaged one.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            state = {name: archive[name] for name in archive.files}
        if str(state.pop(_FINGERPRINT, "")) != expected:
            raise ValueError("of other settings, code, data or libraries")
        return state
    except FileNotFoundError:
        return None
    # RuntimeError: a flipped bit that names another compression.
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        print(f"{path}: not resumed: {error}", flush=True)
        return None


def save(path: Path, fingerprint: str, state: State) -> None:
    """Replace `path` by `state`, whole or not at all."""
    arrays = {_FINGERPRINT: np.array(fingerprint), **state}
    files.write(path, lambda temporary: np.savez(temporary, allow_pickle=False, **arrays))


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock of the checkpoint `path`; the system releases that of a killed process.

    Waits for a training whose DVC was killed a moment ago. Raises PipelineError when another
    process holds the lock, or the folder is not writable.
    """
    files.check_writable(lock_file := path.with_suffix(".lock"))
    try:
        with filelock.FileLock(lock_file, timeout=LOCK_TIMEOUT):
            yield
    except filelock.Timeout:
        raise PipelineError(
            f"{path}: another process is training the same variant in this folder; wait for it, "
            "or stop it, and run again"
        ) from None
