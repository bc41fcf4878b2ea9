"""A variant of one committed run, trained from more seeds: `python benchmarks/seeds.py best 2 3`.

What stands in the comparison as a single run may be luck; this trains the committed parameters with
other seeds in a copy of the commit, evaluates them, and writes reports/bench/seeds.md. Needs a
project whose pipeline is up to date and an idle machine.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))
from bench import FOLDER, circumstances

from pipeline import files, verify_workspace

HEADER = "| run | training, seconds | test accuracy | one view |\n| --- | ---: | ---: | ---: |"

Run = tuple[float, float, float]  # seconds, accuracy, accuracy of one view


def committed(name: str) -> Run:
    """The run of the project's own results."""
    record = json.loads(Path("reports/runs", f"train@{name}.json").read_text())
    return record["seconds"], *_accuracies(Path(), name)


def trained(name: str, seed: int) -> Run:
    """A run of the last commit with another seed."""
    with verify_workspace.copy(Path(), verify_workspace.commit(Path())) as folder:
        os.symlink(Path("data").resolve(), folder / "data")
        params = yaml.safe_load((folder / "params.yaml").read_text())
        params["variants"][name]["seed"] = seed
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        started = time.monotonic()
        verify_workspace.stage(folder, "train", name)
        seconds = time.monotonic() - started
        verify_workspace.stage(folder, "evaluate", name)
        return seconds, *_accuracies(folder, name)


def main(name: str, seeds: list[int]) -> None:
    own = yaml.safe_load(Path("params.yaml").read_text())["variants"][name]["seed"]
    runs = {own: committed(name)} | {seed: trained(name, seed) for seed in seeds}
    lines = [
        f"| `{name}`, seed {seed} | {s:.0f} | {a:.4f} | {v:.4f} |"
        for seed, (s, a, v) in runs.items()
    ]
    cells = [
        f"{statistics.mean(column):.{digits}f} ± {statistics.stdev(column):.{digits}f}"
        for column, digits in zip(zip(*runs.values(), strict=True), (0, 4, 4), strict=True)
    ]
    summary = f"| mean ± standard deviation | {' | '.join(cells)} |"
    table = "\n".join([HEADER, *lines, summary, "", f"({circumstances()})"])
    files.write_text(FOLDER / "seeds.md", table)
    print(table)


def _accuracies(folder: Path, name: str) -> tuple[float, float]:
    metrics = json.loads((folder / "reports" / name / "metrics.json").read_text())
    return metrics["accuracy"], metrics["one_view_accuracy"]


if __name__ == "__main__":
    main(sys.argv[1], [int(seed) for seed in sys.argv[2:]])
