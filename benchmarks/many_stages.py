"""What large studies cost on a cluster: `python benchmarks/many_stages.py [STAGES ...]`.

Prints a table with a row for each number of stages, that many in all: a training and an evaluation
for each variant beside what all share. Dask's part is run whole, with 50 workers in one process and
stages that only send and get what real ones do. DVC's part is measured on a few stages of a study
whose dvc.lock has the entries of all others. Times are those of the processor, not of the clock, so
that other work on the machine counts little.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import chdir
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import workspace
from dvc.utils.serialize import dump_yaml, load_yaml
from many_workers import scheduling

from pipeline.base import files
from pipeline.cluster import there
from pipeline.cluster.places import Elsewhere
from pipeline.cluster.stage import encoded
from pipeline.tools import plan_stages, recorded

PROJECT = Path(__file__).parents[1]
SIZES = (100, 300, 1000)
SHARED = 5  # fetch, preprocess, explore, compare, page
BATCH = 20
HEAD = (
    "| stages | Dask's scheduler, s a stage | its memory, MiB | DVC on the worker, s a stage "
    "| objects moved a stage | DVC on the head, s a stage "
    f"| the same, {BATCH} at a time | plan, s |"
)


def seconds(action: Callable[[], object]) -> float:
    """What `action` takes of the processor, in this process and in those that it starts."""
    before = os.times()
    action()
    return sum(os.times()[:4]) - sum(before[:4])


def renamed(content: Any, old: str, new: str) -> Any:
    """A copy of `content` in which the variant `old` is called `new`."""
    return json.loads(json.dumps(content).replace(old, new))


def study(folder: Path, stages: int) -> list[str]:
    """The project in `folder` with stub stages, `stages` of them; its variants.

    All but BATCH evaluations are recorded as run, by what one variant gave.
    """
    workspace.with_stub_stages(workspace.copy_project(folder))
    params = workspace.read_params(folder)
    names = [f"v{number:04}" for number in range((stages - SHARED) // 2)]
    one = params["variants"]["baseline"]
    variants = {name: renamed(one, "", "") for name in names}
    workspace.write_params(folder, params | {"variants": variants})
    store = str(folder.parent / "store")
    workspace.run(folder, "dvc", "remote", "add", "--default", "store", store)
    first = names[0]
    own = ("fetch", "preprocess", f"train@{first}", f"evaluate@{first}")
    workspace.run(folder, "dvc", "repro", "--quiet", "--single-item", *own)
    workspace.run(folder, "dvc", "push", "--quiet")
    lock = load_yaml(folder / recorded.LOCK)
    entries, results = lock["stages"], folder / "reports/variants"
    shutil.copytree(results / first, folder / "one")
    for number, name in enumerate(names[1:], 1):
        entries[f"train@{name}"] = renamed(entries[f"train@{first}"], first, name)
        if number > BATCH:
            entries[f"evaluate@{name}"] = renamed(entries[f"evaluate@{first}"], first, name)
        shutil.copytree(folder / "one", results / name)
        shutil.copy(folder / f"models/{first}.keras", folder / f"models/{name}.keras")
    dump_yaml(folder / recorded.LOCK, lock)
    return names


def on_worker(folder: Path, name: str) -> tuple[float, int, dict[str, Any]]:
    """Seconds, objects moved from and to the remote, and what the stage `name` gives."""
    order = {"stage": name, "state": {"entry": {}, "files": {}}, "before": []}
    files.write_json(folder / there.ORDER, order)
    places = [folder / ".dvc/cache/files", folder.parent / "store"]

    def objects() -> int:
        return sum(1 for place in places for path in place.rglob("*") if path.is_file())

    shutil.rmtree(places[0])
    before = objects()
    command = ("python", "-m", "pipeline.cluster.stage")
    os.environ[there.PARENT] = str(os.getpid())
    took = seconds(lambda: workspace.run(folder, *command))
    return took, objects() - before, json.loads((folder / there.RESULT).read_text())


def on_head(given: Mapping[str, Any]) -> float:
    """Seconds a stage to have what stages gave, all at once."""
    client: Any = SimpleNamespace(set_metadata=lambda *_: None)
    place = Elsewhere(client, lambda: None, lambda _: {}, set(), lambda: None, "")
    return seconds(lambda: place.take(given)) / len(given)


def row(stages: int) -> str:
    """The line of the table for so many stages."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve() / "study"
        names = study(folder, stages)
        with chdir(folder):
            planned = seconds(plan_stages.make)
            worker, moved, result = on_worker(folder, f"evaluate@{names[1]}")
            given = {
                f"evaluate@{name}": renamed(result, names[1], name) for name in names[1 : 1 + BATCH]
            }
            one = on_head(dict(list(given.items())[:1]))
            many = on_head(given)
    results = ("reports/variants/baseline", "reports/mistakes/baseline.png")
    sent = encoded(map(Path, results), PROJECT)
    scheduler, mebibytes = scheduling(stages, sum(map(len, sent.values())))
    return (
        f"| {stages} | {scheduler:.3f} | {mebibytes:.0f} | {worker:.1f} | {moved} | {one:.1f} "
        f"| {many:.1f} | {planned:.1f} |"
    )


if __name__ == "__main__":
    print(f"{HEAD}\n{'| ---: ' * 8}|", flush=True)
    for number in map(int, sys.argv[1:] or SIZES):
        print(row(number), flush=True)
