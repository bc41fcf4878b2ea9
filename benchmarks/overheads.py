"""What DVC and the plan cost when there is nothing to do: `python benchmarks/overheads.py` (30 s).

Needs an idle machine and a project whose pipeline is up to date. The last row is DVC's own floor:
a repository of one stage with one dependency.
"""

import tempfile
from pathlib import Path

from timing import HEADER, row, seconds

PROJECT = Path(__file__).parent.parent
ROUNDS = 7
ONE_STAGE = "stages: {copy: {cmd: cp a b, deps: [a], outs: [b]}}\n"


def main() -> None:
    print(HEADER)
    rounds = [
        (
            seconds(PROJECT, "dvc", "status", "--quiet"),
            seconds(PROJECT, "dvc", "repro", "--quiet"),
            seconds(PROJECT, "pipeline.plan"),
        )
        for _ in range(ROUNDS)
    ]
    status, repro, plan = zip(*rounds, strict=True)
    print(row("`dvc repro` with nothing to do : `dvc status`", repro, status))
    print(row("`make plan` with nothing to do : `dvc status`", plan, status))

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "dvc.yaml").write_text(ONE_STAGE)
        (folder / "a").write_text("a\n")
        seconds(folder, "dvc", "init", "--no-scm", "--quiet")
        seconds(folder, "dvc", "repro", "--quiet")
        pairs = [
            (
                seconds(folder, "dvc", "status", "--quiet"),
                seconds(folder, "dvc", "repro", "--quiet"),
            )
            for _ in range(ROUNDS)
        ]
    status, repro = zip(*pairs, strict=True)
    print(row("`dvc repro` : `dvc status` in a repository of one stage", repro, status))


if __name__ == "__main__":
    main()
