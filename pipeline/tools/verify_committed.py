"""What the committed results were made from and on, and what of that is otherwise here."""

import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline import runtime
from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.report import places
from pipeline.tools import environment, recorded
from pipeline.tools.recorded import Run

# Linux's names of the instructions of oneDNN, where not the same in small letters.
FLAGS = {"SSE41": "sse4_1", "AVX512_CORE": "avx512bw", "AVX512_CORE_BF16": "avx512_bf16"}
# Names of the variables by which a user can change how the libraries compute.
PREFIXES = ("TF_", "XLA_", "ONEDNN_", "DNNL_", "KERAS_")


def runs(committed: Path, variant: str) -> list[Run]:
    """The runs of preprocess, train and evaluate that made the results of `variant`.

    Raises PipelineError when `committed`, a copy of a commit, lacks them or has other results.
    """
    found: dict[str, Run] = {}
    with suppress(PipelineError):  # its remedy is the committed file, and that is the damaged one
        found = recorded.runs(committed) or {}
    history, metrics = places.history(variant), places.metrics(variant)
    results = {"preprocess": None, f"train@{variant}": history, f"evaluate@{variant}": metrics}
    for stage, path in results.items():
        made = found[stage].outs if stage in found else {}  # none either in an entry cut off
        if not made or (path and recorded.digest(committed / path) != made.get(str(path), "")):
            entry = f"{stage} that names the committed {path}" if path else stage
            raise PipelineError(
                f"{recorded.LOCK} of the commit: expected a complete entry for {entry}, found "
                "none; run `dvc repro` and commit its results"
            )
    return [found[stage] for stage in results]


def link(photos: Path, here: Path) -> None:
    """Bring the folder `photos` of the project into its copy `here`, as a link.

    Unless it is there: git tracks it, or it lies outside the project.
    """
    if not (here / photos).exists():
        (here / photos).parent.mkdir(parents=True, exist_ok=True)
        (here / photos).symlink_to(photos.resolve())


def differences(committed: Path, here: Path, runs: Mapping[str, Iterable[Run]]) -> list[str]:
    """A line for each thing that results were made from or on and that is otherwise now.

    `runs` are those behind each variant; both folders are copies of the commit, `here` with data.
    """
    params = params_file.read(committed / params_file.PARAMS_FILE)
    lines: list[str] = []
    for variant, behind in runs.items():
        stale = [name for run in behind for name in _stale(committed, params, run)]
        lines += [f"{name} is not what the committed results were made from" for name in stale]
        then = environment.recorded(f"train@{variant}", committed)
        lines += _changes(then, environment.recorded("preprocess", here) or {})
    return lines


def other_data(folder: Path, here: Path, runs: Mapping[str, Iterable[Run]]) -> list[str]:
    """A line when `folder`, the data set, does not hold in `here` what `runs` were made from."""
    held = [
        file
        for file in (here / folder).rglob("*")
        if file.is_file() and not any(map(_is_litter, file.relative_to(here).parts))
    ]
    digest = recorded.folder_md5(here / folder, held)
    made_from = {run.deps.get(str(folder), digest) for behind in runs.values() for run in behind}
    if made_from <= {digest}:
        return []
    return [f"{folder} does not hold what the committed results were made from"]


def _is_litter(name: str) -> bool:
    """Whether .dvcignore has DVC pass over what is called so."""
    return name.startswith(".") or name.endswith("~")


def _stale(committed: Path, params: Mapping[str, Any], run: Run) -> Iterator[str]:
    for path, digest in run.deps.items():
        if recorded.digest(committed / path) not in (None, digest):  # data is not in git
            yield path
    for key, value in run.params.items():
        now = None
        with suppress(PipelineError):
            now = params_file.at(params, key)
        if now != value:
            yield f"{params_file.PARAMS_FILE}: {key}"


def _changes(then: Any, now: Mapping[str, Any]) -> Iterator[str]:
    then = then if isinstance(then, Mapping) else {}
    for name, value in now.items():
        if isinstance(value, Mapping):
            yield from _changes(then.get(name), value)
        elif name != "seconds" and then.get(name) != value:
            yield f"{name}: {then.get(name, 'not recorded')} when committed, {value} here"


def unfixed(params: Mapping[str, Any], variants: Iterable[str]) -> list[str]:
    """A line for each thing here that `params` do not fix for `variants`; starts TensorFlow."""
    lines = []
    flags = environment.cpu_flags()
    named = {f"arithmetic.{params['variants'][name]['arithmetic']}" for name in variants}
    for section in ("runtime", *sorted(named)):
        key = f"{section}.cpu_isa"
        cpu_isa = params_file.at(params, key)
        if not environment.is_x86_64():
            lines.append(
                f"{key} fixes the instructions of x86-64 processors; this is {platform.machine()}"
            )
        elif cpu_isa == "DEFAULT":
            lines.append(f"{key} is DEFAULT: every processor uses its own widest instructions")
        elif flags and FLAGS.get(cpu_isa, cpu_isa.lower()) not in flags:
            lines.append(f"this processor lacks the instructions that {key} names, {cpu_isa}")
    given = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIXES)}
    runtime.start("DEFAULT")  # which sets variables: those are not the user's
    import tensorflow as tf

    lines += [f"TensorFlow computes on {gpu.name}" for gpu in tf.config.get_visible_devices("GPU")]
    users = sorted(given.keys() - os.environ.keys())
    return lines + [f"the environment has {name}={given[name]}" for name in users]
