"""What `make repro JOBS=N` gains where each stage has cores of its own, by stages that only sleep.

Prints a table: `python benchmarks/side_by_side.py`. A stage sleeps for a SCALE-th of its recorded
time on two cores, so the table is for 2N cores. It leaves out DVC's seconds per stage, and what
trainings lose by sharing the memory bandwidth.
"""

import contextlib
import io
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from distributed import Client, Future

from pipeline.cluster import schedule
from pipeline.tools.plan import PlannedStage, plan_stages

JOBS = (1, 2, 4, 8)
SCALE = 20


def minutes(stages: list[PlannedStage], jobs: int) -> float:
    """The duration of `stages`, so many at a time."""
    with Client(processes=False, threads_per_worker=jobs, dashboard_address="127.0.0.1:0") as dask:

        def submit(stage: PlannedStage) -> Future[Any]:
            return dask.submit(time.sleep, (stage.seconds or 0.0) / SCALE, pure=False)

        sleeping = schedule.Backend(lambda: jobs, submit, lambda names: dict.fromkeys(names, True))
        started = time.monotonic()
        with contextlib.redirect_stdout(io.StringIO()):
            schedule.run_stages(stages, sleeping)
        return (time.monotonic() - started) * SCALE / 60


if __name__ == "__main__":
    every = [replace(stage, seconds=stage.seconds or 0.0) for stage in plan_stages()]
    print("| JOBS | cores | minutes | gain |\n| ---: | ---: | ---: | ---: |")
    total = sum(stage.seconds or 0.0 for stage in every) / 60
    for number in JOBS:
        taken = total if number == 1 else minutes(every, number)
        print(f"| {number} | {2 * number} | {taken:.1f} | {total / taken:.1f} |", flush=True)
