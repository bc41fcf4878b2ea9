"""Train variants of the last commit again and compare: `python -m pipeline.tools.verify`.

Works in a temporary clone and writes nothing in the project.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.core.params import PARAMS_FILE, lookup, read_params, read_section
from pipeline.datasets.config import DatasetConfig
from pipeline.datasets.features import WEIGHTS
from pipeline.evaluation.metrics import read_metrics
from pipeline.tools import lockfile, processes
from pipeline.tools.repository import git


def committed_md5s(clone: Path, variant: str) -> dict[str, str]:
    """MD5 by path of data, model and results of `variant`, in this order.

    Raises PipelineError when the dvc.lock of the commit lacks one of them.
    """
    recorded = lockfile.read_outputs(clone)
    md5s: dict[str, str] = {}
    data = lookup(read_params(clone / PARAMS_FILE), f"variants.{variant}.data")
    prepared = "preprocess" if data == "processed" else f"features@{data}"
    for stage in (prepared, f"train@{variant}", f"evaluate@{variant}"):
        if not recorded.get(stage):
            raise PipelineError(
                f"{lockfile.LOCK} of the commit: expected an entry of {stage}, found none; run "
                "`dvc repro` and commit its results"
            )
        md5s |= recorded[stage]
    return md5s


def changed_files(clone: Path, variant: str, md5s: dict[str, str]) -> list[str]:
    """Train and evaluate `variant` in `clone`; the paths of the files with others than `md5s`."""
    committed = read_metrics(variant, clone).accuracy
    for path in [path for path in md5s if path.startswith("reports/")]:
        (clone / path).unlink()  # what is not written again counts as different
    _run_stage(clone, "train", variant)
    _run_stage(clone, "evaluate", variant)
    accuracy = read_metrics(variant, clone).accuracy
    print(f"verify: test accuracy of {variant}: {committed} committed, {accuracy} new")
    made = {path: lockfile.file_md5(clone / path) for path in md5s if (clone / path).exists()}
    return [path for path in md5s if made.get(path) != md5s[path]]


def _run_stage(clone: Path, *arguments: str) -> None:
    """Run a stage in `clone`; PipelineError when it fails."""
    command = [sys.executable, "-m", "pipeline", *arguments]
    # DVC_STAGE has the stage end when this process is killed; temporary files go with the clone.
    variables = os.environ | {"DVC_STAGE": "verify", "TMPDIR": str(clone)}
    if subprocess.run(command, cwd=clone, stdin=subprocess.DEVNULL, env=variables).returncode:
        raise PipelineError(f"`python {' '.join(command[1:])}` failed for the reason above")


def main(arguments: list[str]) -> int:
    """Verify variants, `all`, or the first; exit status 1 when one has other bytes."""
    commit = git("rev-parse", "--short", "HEAD").decode().strip()
    print(f"verify: training again as of commit {commit}")
    if changes := git("status", "--short", "--untracked-files=all").decode():
        print(f"verify: not committed, so left out:\n{changes}")
    with tempfile.TemporaryDirectory(prefix="verify-") as root:
        clone = Path(root, "clone")
        git("clone", "--quiet", "--shared", str(Path.cwd()), str(clone))
        params = read_params(clone / PARAMS_FILE)
        known = list(lookup(params, "variants"))
        names = known if arguments == ["all"] else arguments or known[:1]
        md5s = {name: committed_md5s(clone, name) for name in names}
        dataset = read_section(params, "dataset", DatasetConfig)
        for folder in (Path(dataset.folder), WEIGHTS):
            if folder.exists() and not (clone / folder).exists():  # not in git; fetch keeps it
                (clone / folder).parent.mkdir(parents=True, exist_ok=True)
                (clone / folder).symlink_to(folder.resolve())
        data = {lookup(params, f"variants.{name}.data") for name in names}
        stages = [["fetch"]] if dataset.kind == "cifar10" else []
        stages += [["preprocess"], *(["features", name] for name in sorted(data - {"processed"}))]
        for stage in stages:
            _run_stage(clone, *stage)
        changed = {name: changed_files(clone, name, md5s[name]) for name in names}
    for name, files in changed.items():
        print(f"verify: {name}: {f'other bytes, first in {files[0]}' if files else 'same bytes'}")
    return int(any(changed.values()))


if __name__ == "__main__":
    processes.run_command(main, sys.argv[1:])
