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
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.core.params import PARAMS_FILE, lookup, read_params
from pipeline.datasets.config import DatasetConfig, ImageFolderConfig, read_dataset_config
from pipeline.evaluation.metrics import read_metrics
from pipeline.tools import git, lockfile, signals
from pipeline.training import history
from pipeline.training.history import history_csv

POLL_SECONDS = 0.1


def verdict(same: Mapping[str, bool]) -> str:
    """The result of a comparison, with the first file or epoch that differs."""
    first = next((name for name, is_same in same.items() if not is_same), None)
    return f"other bytes, first in {first}" if first else f"same bytes up to {list(same)[-1]}"


def committed_md5s(clone: Path, variant: str) -> dict[str, str]:
    """MD5 by path of what preprocess, train and evaluate of `variant` wrote, in this order.

    Raises PipelineError when the dvc.lock of the commit lacks one of them.
    """
    entries = lockfile.read_lock(clone) or {}
    md5s: dict[str, str] = {}
    for stage in ("preprocess", f"train@{variant}", f"evaluate@{variant}"):
        if stage not in entries or not entries[stage].outs:
            raise PipelineError(
                f"{lockfile.LOCK} of the commit: expected an entry of {stage}, found none; run "
                "`dvc repro` and commit its results"
            )
        md5s |= entries[stage].outs
    return md5s


def verify_variant(clone: Path, variant: str, minutes: float) -> dict[str, bool]:
    """Train `variant` in `clone` for so many `minutes`, an epoch at least.

    Whether each file is the same as committed; of a stopped training, each epoch.
    """
    md5s, committed = committed_md5s(clone, variant), read_metrics(variant, clone).accuracy
    table = (clone / paths.history(variant)).read_text(encoding="utf-8")
    shutil.rmtree(clone / paths.RESULTS / variant)  # what is not written again counts as different
    unfinished, deadline = clone / paths.checkpoint(variant), time.monotonic() + 60 * minutes
    _run_stage(
        clone,
        *("train", variant),
        until=lambda: time.monotonic() > deadline and unfinished.exists(),
    )
    if not unfinished.exists():  # a training deletes it at its end
        _run_stage(clone, "evaluate", variant)
        accuracy = read_metrics(variant, clone).accuracy
        print(f"verify: test accuracy of {variant}: {committed} committed, {accuracy} new")
        return {path: _has_md5(clone / path, md5) for path, md5 in md5s.items()}
    with np.load(unfinished) as archive:
        keys = {name: f"history_{name}" for name in history.METRICS}
        curves = {name: archive[key].tolist() for name, key in keys.items() if key in archive}
    same = {path: _has_md5(clone / path, md5s[path]) for path in md5s if path.startswith("data/")}
    rows = zip(table.splitlines(), history_csv(curves).splitlines(), strict=False)
    return same | {f"epoch {n}": old == new for n, (old, new) in enumerate(rows) if n}  # 0: header


def _has_md5(path: Path, md5: str) -> bool:
    return path.exists() and lockfile.file_md5(path) == md5


def _prepare_data(clone: Path, dataset: DatasetConfig) -> None:
    """Preprocess the project's data set in `clone`; files that the project has are not fetched."""
    source, target = Path(dataset.folder).resolve(), clone / dataset.folder
    if source.exists() and not target.exists():  # not in git
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
    if not isinstance(dataset, ImageFolderConfig):
        _run_stage(clone, "fetch")
    _run_stage(clone, "preprocess")


def _run_stage(clone: Path, *arguments: str, until: Callable[[], bool] = lambda: False) -> None:
    """Run a stage in `clone`; kill it when `until` holds. PipelineError when it fails."""
    command = [sys.executable, "-m", "pipeline", *arguments]
    # DVC_STAGE has the stage end when this process is killed; temporary files go with the clone.
    variables = git.environment() | {"DVC_STAGE": "verify", "TMPDIR": str(clone)}
    with subprocess.Popen(command, cwd=clone, stdin=subprocess.DEVNULL, env=variables) as process:
        try:
            while process.poll() is None and not until():
                time.sleep(POLL_SECONDS)
            if process.returncode:
                raise PipelineError(f"`python {' '.join(command[1:])}` failed for the reason above")
        finally:
            process.kill()


def main(arguments: list[str]) -> int:
    """Verify the variants of the command line; exit status 1 when one has other bytes."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.tools.verify")
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help="default: first; or all")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop each training then")
    options = parser.parse_args(arguments)
    commit = git.output("rev-parse", "--short", "HEAD").decode().strip()
    print(f"verify: training again as of commit {commit}")
    if changes := git.output("status", "--short", "--untracked-files=all").decode():
        print(f"verify: not committed, so left out:\n{changes}")
    with tempfile.TemporaryDirectory(prefix="verify-") as root:
        clone = Path(root, "clone")
        git.output("clone", "--quiet", "--shared", str(Path.cwd()), str(clone))
        params = read_params(clone / PARAMS_FILE)
        known = list(lookup(params, "variants"))
        names = known if options.variants == ["all"] else options.variants or known[:1]
        for name in names:  # mistakes show before any training
            lookup(params, f"variants.{name}")
            committed_md5s(clone, name)
        _prepare_data(clone, read_dataset_config(params))
        same = {name: verify_variant(clone, name, options.minutes) for name in names}
    for name in names:
        print(f"verify: {name}: {verdict(same[name])}")
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
