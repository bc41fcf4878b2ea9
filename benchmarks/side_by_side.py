"""What `make repro JOBS=N` gains where each stage has cores of its own, by stages that only sleep.

Prints a table: `python benchmarks/side_by_side.py`.

A stage sleeps for a SCALE-th of what reports/runs says it took by itself on two cores, so the table
is of machines with two cores for each of the N. What it cannot show: DVC's second or two a stage,
and what trainings take from one another by the memory that they share.
"""

import dataclasses
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from pipeline.cluster import places, tasks
from pipeline.tools import plan_stages
from pipeline.tools.plan_stages import StagePlan

JOBS = (1, 2, 4, 8)
SCALE = 20


def sleep(seconds: Mapping[str, float], name: str, *_before: float) -> float:
    """The task of the stage `name`: when it has ended."""
    time.sleep(seconds[name] / SCALE)
    return time.monotonic()


def minutes(stages: tuple[StagePlan, ...], jobs: int) -> float:
    """From the first begin to the last end, in the stages' own time."""
    task = partial(sleep, {stage.stage: stage.seconds or 0.0 for stage in stages})
    ends: dict[str, float] = {}
    started = time.monotonic()
    with places.this_machine(jobs) as place, tasks.ended(place) as futures:
        futures |= tasks.submit(dataclasses.replace(place, task=task), stages, base=str(jobs))
        tasks.watch(place, futures, ends.update)
    return (max(ends.values()) - started) * SCALE / 60


def longest(stages: tuple[StagePlan, ...]) -> float:
    """Minutes of the longest chain of stages, which no number of jobs can undercut."""
    ends: dict[str, float] = {}
    for stage in stages:
        begin = max((ends[before] for before in stage.after), default=0.0)
        ends[stage.stage] = begin + (stage.seconds or 0.0)
    return max(ends.values()) / 60


if __name__ == "__main__":
    every = plan_stages.make().stages
    print(f"the longest chain takes {longest(every):.1f} minutes\n")
    print("| JOBS | cores | minutes | gain |\n| ---: | ---: | ---: | ---: |")
    alone = sum(stage.seconds or 0.0 for stage in every) / 60
    for number in JOBS:
        took = alone if number == 1 else minutes(every, number)
        print(f"| {number} | {2 * number} | {took:.1f} | {alone / took:.1f} |", flush=True)
