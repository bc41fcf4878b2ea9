"""Train variants of the last commit again and compare: `python -m pipeline.tools.verify`.

Works in a temporary clone and writes nothing in the project. Exit status: 0 for the same bytes, 1
for other bytes, 2 when nothing was compared.
"""

import argparse
import math
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.datasets.config import DatasetConfig, ImageFolderConfig, read_dataset_config
from pipeline.report import history, metrics, places
from pipeline.tools import environment, git, lockfile, signals
from pipeline.train import checkpoint

ALL = "all"
RAW = Path("data/raw")
POLL_SECONDS = 0.1


def compare_files(folder: Path, md5s: Mapping[str, str]) -> dict[str, bool]:
    """Whether each file in `folder` has its MD5."""
    return {
        path: (folder / path).exists() and lockfile.file_md5(folder / path) == md5
        for path, md5 in md5s.items()
    }


def compare_histories(committed: Iterable[str], new: Iterable[str]) -> dict[str, bool]:
    """Whether each row of history.csv is the same, for the epochs that both files have."""
    rows = enumerate(zip(committed, new, strict=False))
    return {f"epoch {epoch}": one == other for epoch, (one, other) in rows if epoch}  # 0: header


def verdict(same: Mapping[str, bool]) -> str:
    """The result of a comparison, with the first file or epoch that differs."""
    first = next((name for name, is_same in same.items() if not is_same), None)
    return f"other bytes, first in {first}" if first else f"same bytes up to {list(same)[-1]}"


def verify_variant(committed: Path, clone: Path, variant: str, minutes: float) -> dict[str, bool]:
    """Train `variant` in `clone` for so many `minutes`, an epoch at least.

    Whether each file is the same as committed; of a stopped training, each epoch.
    """
    data, trained, evaluated = committed_md5s(committed, variant)
    unfinished, deadline = clone / checkpoint.path(variant), time.monotonic() + 60 * minutes
    _run_stage(
        clone,
        *("train", variant),
        until=lambda: time.monotonic() > deadline and unfinished.exists(),
    )
    if not unfinished.exists():  # a training deletes it at its end
        _run_stage(clone, "evaluate", variant)
        old, new = (metrics.read(variant, folder).accuracy for folder in (committed, clone))
        print(f"verify: test accuracy of {variant}: {old} committed, {new} new")
        return compare_files(clone, {**data, **trained, **evaluated})
    with np.load(unfinished) as archive:
        keys = {name: checkpoint.HISTORY + name for name in history.FIGURES}
        curves = {name: archive[key].tolist() for name, key in keys.items() if key in archive}
    table = (committed / places.history(variant)).read_text(encoding="utf-8")
    rows = compare_histories(table.splitlines(), history.table(curves).splitlines())
    return compare_files(clone, data) | rows


def committed_md5s(committed: Path, variant: str) -> list[dict[str, str]]:
    """MD5 by path of what preprocess wrote, and train and evaluate of `variant`.

    Raises PipelineError when the dvc.lock of the commit lacks one of them.
    """
    entries = lockfile.read_lock(committed) or {}
    stages = ("preprocess", f"train@{variant}", f"evaluate@{variant}")
    for stage in stages:
        if stage not in entries or not entries[stage].outs:
            raise PipelineError(
                f"{lockfile.LOCK} of the commit: expected an entry of {stage}, found none; run "
                "`dvc repro` and commit its results"
            )
    return [entries[stage].outs for stage in stages]


def _prepare_data(clone: Path, dataset: DatasetConfig) -> None:
    """Preprocess the project's data set in `clone`; files that the project has are not fetched."""
    if isinstance(dataset, ImageFolderConfig):
        target = clone / dataset.folder
        if not target.exists():  # neither in git nor outside the project
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(Path(dataset.folder).resolve())
    else:
        if RAW.exists():
            shutil.copytree(RAW, clone / RAW)
        _run_stage(clone, "fetch")
    _run_stage(clone, "preprocess")


def _run_stage(folder: Path, *arguments: str, until: Callable[[], bool] = lambda: False) -> None:
    """Run a stage in `folder`; kill it when `until` holds. PipelineError when it fails."""
    command = [sys.executable, "-m", "pipeline", *arguments]
    # DVC_STAGE has the stage end when this process is killed; temporary files go with the clone.
    variables = git.environment() | {"DVC_STAGE": "verify", "TMPDIR": str(folder)}
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, env=variables) as process:
        try:
            while process.poll() is None and not until():
                time.sleep(POLL_SECONDS)
            if process.returncode:
                raise PipelineError(
                    f"`python -m pipeline {' '.join(arguments)}` failed in {folder} for the reason "
                    "above; fix it, or set TMPDIR to a folder with more space"
                )
        finally:
            process.kill()


def _machine(folder: Path, stage: str) -> str:
    """Processor, cores, system and Python of the last recorded run of `stage`."""
    run = environment.recorded(stage, folder) or {}
    names = ("processor", "cores", "system", "python")
    return ", ".join(f"{name} {run.get(name, 'unknown')}" for name in names)


def main(arguments: list[str]) -> int:
    """Verify the variants of the command line; exit status 1 when one has other bytes."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.tools.verify")
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=f"default: first; or {ALL}")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop each training then")
    options = parser.parse_args(arguments)
    commit = git.output("rev-parse", "HEAD").decode().strip()
    print(f"verify: training again as of commit {commit[:12]}")
    if changes := git.output("status", "--short", "--untracked-files=all").decode():
        print(f"verify: not committed, so left out:\n{changes}")
    with tempfile.TemporaryDirectory(prefix="verify-") as root:
        committed, clone = Path(root, "committed"), Path(root, "clone")
        for folder in (committed, clone):
            git.output("clone", "--quiet", "--shared", str(Path.cwd()), str(folder))
        # So that an output that is not written again counts as different.
        shutil.rmtree(clone / places.RESULTS, ignore_errors=True)
        params = params_file.read(clone / params_file.PARAMS_FILE)
        known = list(params_file.at(params, "variants"))
        names = known if ALL in options.variants else options.variants or known[:1]
        for name in names:  # mistakes show before any training
            params_file.at(params, f"variants.{name}")
            committed_md5s(committed, name)
        _prepare_data(clone, read_dataset_config(params))
        same = {name: verify_variant(committed, clone, name, options.minutes) for name in names}
        for name in same:
            print(f"\nverify: {name}: {verdict(same[name])}")
            print(f"  committed run: {_machine(committed, f'train@{name}')}")
        print(f"  this run: {_machine(clone, 'preprocess')}")
    return int(not all(all(files.values()) for files in same.values()))


if __name__ == "__main__":
    signals.raise_exit_on_signals()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        sys.exit(main(sys.argv[1:]))
    except PipelineError as error:
        print(f"verify: {error}", file=sys.stderr)
    except Exception:
        traceback.print_exc()
    sys.exit(2)  # Python's own status is 1: other bytes
