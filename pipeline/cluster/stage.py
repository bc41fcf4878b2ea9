"""One stage in a worker's clone: `python -m pipeline.cluster.stage`, started by there.py.

Brings the clone to the state that the stage needs, runs it by DVC, and leaves what it gave: cached
outputs in the DVC remote, the entry of dvc.lock and the files that are in git in a file of results.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dvc.repo import Repo
from dvc.stage import Stage
from dvc.utils.serialize import dump_yaml, load_yaml

from pipeline.base import files
from pipeline.base.errors import PipelineError
from pipeline.cluster import clone, there
from pipeline.tools import environment, recorded

Result = Mapping[str, Any]  # `entry`: of dvc.lock, by the stage's name; `files`: base64 by path


def main() -> None:
    """Carry out the order; PipelineError when the stage or the remote fails."""
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    environment.check()
    order = json.loads(there.ORDER.read_text(encoding="utf-8"))
    put([order["state"], *order["before"]])
    with Repo() as repo:
        (stage,) = repo.stage.load_all("dvc.yaml", order["stage"])
        inputs = _cached_inputs(repo, stage)
    if inputs:
        _dvc("pull", *inputs, tries=clone.PATIENCE)
    _dvc("repro", "--single-item", order["stage"])
    if any(out.use_cache for out in stage.outs):
        _dvc("push", order["stage"], tries=clone.PATIENCE)
    files.write_json(there.RESULT, result_of(stage))


def put(results: Sequence[Result], folder: Path = Path()) -> None:
    """Write into `folder` the files and entries of dvc.lock that stages gave, elsewhere.

    The entries at once, as DVC's reading and writing of the lock takes long where stages are many.
    """
    for result in results:
        for path, content in result["files"].items():
            save = partial(_save, base64.b64decode(content))
            files.write(folder / path, save)
    entries = {name: entry for each in results for name, entry in each["entry"].items()}
    if entries:
        file, empty = folder / recorded.LOCK, {"schema": "2.0"}
        lock: dict[str, Any] = load_yaml(file) if file.exists() else empty
        lock["stages"] = {**lock.get("stages", {}), **entries}
        files.write(file, lambda temporary: dump_yaml(temporary, lock))


def _save(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def result_of(stage: Stage) -> Result:
    """What `stage` left here that is not in DVC's cache."""
    name = stage.addressing
    entry = load_yaml(recorded.LOCK)["stages"][name]
    kept = [Path(out.def_path) for out in stage.outs if not out.use_cache]
    return {"entry": {name: entry}, "files": encoded([*kept, environment.path(name)])}


def encoded(paths: Iterable[Path], folder: Path = Path()) -> dict[str, str]:
    """The files at `paths` in `folder`, those below folders too, in base64."""
    found = [folder / path for path in paths]
    inside = [file for path in found for file in (path.rglob("*") if path.is_dir() else [path])]
    return {
        file.relative_to(folder).as_posix(): base64.b64encode(file.read_bytes()).decode()
        for file in inside
        if file.is_file()
    }


def _cached_inputs(repo: Repo, stage: Stage) -> list[str]:
    """The outputs of other stages, in DVC's cache, that `stage` reads."""
    deps = [Path(dep.def_path) for dep in stage.deps]
    cached = [Path(out.def_path) for out in repo.index.outs if out.use_cache]
    read = [o for o in cached if any(o.is_relative_to(d) or d.is_relative_to(o) for d in deps)]
    return sorted(map(str, read))


def _dvc(*arguments: str, tries: Iterable[int] = ()) -> None:
    def attempt() -> str:
        done = subprocess.run([sys.executable, "-m", "dvc", *arguments], check=False)
        return f"dvc {arguments[0]} failed" if done.returncode else ""

    if wrong := clone.patiently(attempt, tries):
        raise PipelineError(f"{wrong}, `dvc {' '.join(arguments)}`, for the reason above; mend it")


def _end_with_the_worker() -> None:
    """End this process and all below it once the worker is gone, as after `kill -9` of it."""
    worker = int(os.environ[there.PARENT])
    while os.getppid() == worker:
        time.sleep(1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    try:
        main()
    except PipelineError as error:
        sys.exit(f"worker: {error}")
