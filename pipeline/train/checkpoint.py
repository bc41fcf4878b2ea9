"""The file from which a killed training goes on, and which only the very same training picks up.

Not an output: DVC deletes those before a stage runs. It stands beside them in .checkpoints/, is
replaced after each epoch and deleted when the training has succeeded.
"""

import hashlib
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import filelock
import numpy as np
from ruamel.yaml import YAML

from pipeline.base import files
from pipeline.base.errors import PipelineError
from pipeline.base.params_file import Section

State: TypeAlias = Mapping[str, np.ndarray]

FOLDER = Path(".checkpoints")
# Longer than a training lives whose DVC was killed (pipeline/ops/lifeline.py).
WAIT_SECONDS = 30
HISTORY = "history_"  # begins the names of the figures so far
_KEY = "key"


def path(variant: str) -> Path:
    """Where the training of `variant` keeps its checkpoint."""
    return FOLDER / f"{variant}.npz"


def declared(network: str) -> list[Path]:
    """Our files on which dvc.yaml has a training of `network` depend: code, and the pins."""
    stages = YAML(typ="safe").load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    deps = [Path(dep.replace("${item.network}", network)) for dep in stages["train"]["do"]["deps"]]
    ours = [dep for dep in deps if dep.parts[0] in ("pipeline", "requirements")]
    return sorted(file for dep in ours for file in (dep.rglob("*.py") if dep.is_dir() else [dep]))


def identity(
    sections: Iterable[Section], arrays: Iterable[np.ndarray], sources: Iterable[Path]
) -> str:
    """A digest of all that a training's result depends on: another one is another training.

    `sections` are its settings, `arrays` its data, `sources` its code and the pins of its
    libraries.
    """
    digest = hashlib.sha256()
    for section in sections:
        digest.update(f"{type(section).__name__} {section.model_dump_json()}\n".encode())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    for source in sources:
        content = source.read_bytes()
        digest.update(f"{source.as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def load(file: Path, key: str) -> State | None:
    """What `save` stored in `file` under this `key`; None when there is nothing to go on from.

    That a checkpoint of another key, or a damaged one, is passed over is said in a line.
    """
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
            state = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        return None
    except (
        *(OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile),
        *(NotImplementedError, RuntimeError),  # a flipped bit that asks for another compression
    ) as error:
        print(f"{file} cannot be read ({error}): training starts from its first epoch", flush=True)
        return None
    if str(state.pop(_KEY, "")) != key:
        print(
            f"{file} is of other settings, code, data or libraries: training starts from its "
            "first epoch",
            flush=True,
        )
        return None
    return state


def save(file: Path, key: str, state: State) -> None:
    """`state` in `file`, whole or not at all, in place of what was there."""
    files.write_arrays(file, **{_KEY: np.array(key)}, **state)


@contextmanager
def claimed(file: Path) -> Iterator[None]:
    """While the body runs, no other process can claim `file`; the system frees a dead one's claim.

    Waits for a training whose DVC was killed a moment ago. Raises PipelineError when another one
    goes on, or the folder takes no file.
    """
    # Under a name of its own: the temporary file of `file` may be another process's, at work.
    files.expect_writable(file.with_name(f"{file.stem}-{os.getpid()}{file.suffix}"))
    try:
        with filelock.FileLock(lock := file.with_suffix(".lock"), timeout=WAIT_SECONDS):
            try:
                yield
            finally:
                # Still held. Whoever waits for it sees that it is gone and makes another.
                lock.unlink(missing_ok=True)
    except filelock.Timeout:
        raise PipelineError(
            f"{file}: another process is training the same variant in this folder; wait for it, "
            "or stop it, and run again"
        ) from None
