"""What DVC costs in large studies on a cluster: `python benchmarks/many_stages.py [STAGES ...]`.

Prints a row per number of stages: a training and an evaluation per variant. All but BATCH
evaluations are recorded as run. Times are of the processor, so other work counts little.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import clusters
import workspace
from dvc.utils.serialize import dump_yaml, load_yaml

from pipeline.cluster import worker
from pipeline.cluster.project import Project
from pipeline.tools.lockfile import LOCK
from pipeline.tools.plan import plan_stages

SIZES = (100, 300, 1000)
SHARED = 5  # fetch, preprocess, explore, compare, page
BATCH = 20
TITLE = "| stages | plan, s | on the worker, s a stage | on the head, s a stage | {} at a time |"


def seconds(action: Callable[[], object]) -> float:
    """The processor time of `action`, in this process and its children."""
    before = os.times()
    action()
    return sum(os.times()[:4]) - sum(before[:4])


def study(folder: Path, stages: int) -> list[str]:
    """The project in `folder` with so many stub stages; the names of its variants."""
    workspace.with_stub_stages(workspace.copy_project(folder))
    params = workspace.read_params(folder)
    first, *others = names = [f"v{number:04}" for number in range((stages - SHARED) // 2)]
    params["variants"] = {name: dict(params["variants"]["baseline"]) for name in names}
    workspace.write_params(folder, params)
    store = str(folder.parent / "store")
    workspace.run(folder, "dvc", "remote", "add", "--default", "store", store)
    own = ("fetch", "preprocess", f"train@{first}", f"evaluate@{first}")
    workspace.run(folder, "dvc", "repro", "--quiet", "--single-item", *own)
    workspace.run(folder, "dvc", "push", "--quiet")
    lock = load_yaml(folder / LOCK)
    for number, name in enumerate(others, 1):
        for kind in ("train", "evaluate")[: 1 if number <= BATCH else 2]:
            text = json.dumps(lock["stages"][f"{kind}@{first}"])
            lock["stages"][f"{kind}@{name}"] = json.loads(text.replace(first, name))
        shutil.copytree(folder / f"reports/variants/{first}", folder / f"reports/variants/{name}")
        shutil.copy(folder / f"models/{first}.keras", folder / f"models/{name}.keras")
    dump_yaml(folder / LOCK, lock)
    workspace.run(folder, "git", "init", "--quiet", "--bare", "-b", "main", "../shared.git")
    workspace.run(folder, "git", "remote", "add", "origin", str(folder.parent / "shared.git"))
    clusters.commit(folder)
    return names


def row(stages: int) -> str:
    """The line of the table for so many stages."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve() / "study"
        names = study(folder, stages)
        evaluations = [f"evaluate@{name}" for name in names[1 : 1 + BATCH]]
        with chdir(folder):
            planned = seconds(plan_stages)
            project = Project(set(evaluations))
            outputs = project.job(evaluations[0])["outputs"]
            command = ("dvc", "repro", "--quiet", "--single-item")
            repro = seconds(lambda: workspace.run(folder, *command, evaluations[0]))
            workspace.run(folder, *command, *evaluations)
            results = {
                name: worker.read_files(
                    Path(path.replace(evaluations[0][9:], name[9:])) for path in outputs
                )
                for name in evaluations
            }
            one = seconds(lambda: project.write_results(dict([results.popitem()])))
            many = seconds(lambda: project.write_results(results)) / len(results)
    return f"| {stages} | {planned:.1f} | {repro:.1f} | {one:.1f} | {many:.1f} |"


if __name__ == "__main__":
    print(f"{TITLE.format(BATCH)}\n{'| ---: ' * 5}|", flush=True)
    for number in map(int, sys.argv[1:] or SIZES):
        print(row(number), flush=True)
