"""A variant of one committed run, trained from more seeds: `python benchmarks/seeds.py best 2 3`.

What stands in the comparison as a single run may be luck; this trains the committed parameters with
other seeds in a copy of the commit, evaluates them, and writes reports/bench/seeds.md. Needs a
project whose pipeline is up to date and an idle machine.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))
from bench import FOLDER, circumstances

from pipeline.base import files
from pipeline.ops import environment
from pipeline.report import places

HEADER = "| run | training, seconds | test accuracy | one view |\n| --- | ---: | ---: | ---: |"

Run = tuple[float, float, float]  # seconds, accuracy, accuracy of one view


def recorded(folder: Path, name: str) -> Run:
    """The run whose results are in the project's copy `folder`."""
    record = json.loads((folder / environment.path(f"train@{name}")).read_text())
    metrics = json.loads((folder / places.metrics(name)).read_text())
    return record["seconds"], metrics["accuracy"], metrics["one_view_accuracy"]


def trained(name: str, seed: int) -> Run:
    """A run of the last commit with another seed."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "clone")
        subprocess.run(["git", "clone", "--quiet", ".", str(folder)], check=True)
        os.symlink(Path("data/processed").resolve(), folder / "data/processed")
        params = yaml.safe_load((folder / "params.yaml").read_text())
        params["variants"][name]["seed"] = seed
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        for stage in ("train", "evaluate"):
            command = [sys.executable, "-m", "pipeline", stage, name]
            subprocess.run(command, cwd=folder, check=True)
        return recorded(folder, name)


def main(name: str, seeds: list[int]) -> None:
    own = yaml.safe_load(Path("params.yaml").read_text())["variants"][name]["seed"]
    runs = {own: recorded(Path(), name)} | {seed: trained(name, seed) for seed in seeds}
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


if __name__ == "__main__":
    main(sys.argv[1], [int(seed) for seed in sys.argv[2:]])
