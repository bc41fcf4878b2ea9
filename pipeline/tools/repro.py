"""`dvc repro` stage by stage, with the time left: `python -m pipeline.tools.repro [STAGE ...]`.

One after another, short trainings first, or side by side: here (--jobs) or on the workers of a Dask
scheduler. After each evaluation the comparison and the page show the variants that have ended. Each
stage runs as `dvc repro --single-item`, which locks its own outputs; a plain
`dvc repro STAGE` also locks those of all upstream stages, and fails with "is busy" beside another
(treeverse/dvc 11054).
"""

import argparse
import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import pandas as pd

from pipeline.cluster.worker import POLL_SECONDS, run_process, start_process
from pipeline.comparison.seeds import further_seeds
from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.core.params import lookup, read_params
from pipeline.evaluation.metrics import read_metrics
from pipeline.tools import environment, processes
from pipeline.tools.dvc_project import read_entries, sort_entries
from pipeline.tools.plan import PlannedStage, duration, plan_stages, variant_of

# Without its advice after each stage; --quiet would hide its errors, too.
MAIN = "import logging, dvc.cli; logging.getLogger('dvc').setLevel(30); exit(dvc.cli.main())"
DVC = (sys.executable, "-c", MAIN, "--wait-for-lock")


class LocalBackend(contextlib.ExitStack):
    """Runs up to `jobs` stages at a time as child processes, which end with the `with` block.

    A single one writes to the output of this process, several to a log each.
    """

    def __init__(self, jobs: int) -> None:
        super().__init__()
        self.jobs = max(1, jobs)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def submit(self, ready: Sequence[str]) -> list[str]:
        """Start as many of the stages `ready` as there are jobs free; which ones."""
        waiting = [name for name in ready if name not in self._running]
        started = waiting[: self.jobs - len(self._running)]
        for stage in started:
            if stage == "compare":
                drop_stale_seeds()
            log = self.enter_context(log_path(stage).open("wb")) if self.jobs > 1 else None
            process = start_process(*DVC, "repro", "--single-item", stage, output=log)
            self._running[stage] = self.enter_context(process)
        return started

    def ended(self) -> dict[str, bool]:
        """Whether each of the stages that have ended since the last call succeeded."""
        time.sleep(POLL_SECONDS)
        ended = [name for name, process in self._running.items() if process.poll() is not None]
        return {name: self._running.pop(name).returncode == 0 for name in ended}


class Clock:
    """The time left: the recorded seconds of stages, scaled by what others have taken."""

    def __init__(self, stages: Sequence[PlannedStage]) -> None:
        self._left = {stage.name: stage.seconds or 0.0 for stage in stages}
        self._recorded = self._measured = 0.0

    def seconds(self, *stages: str) -> float:
        """Of `stages`, without any of all that are left; 0 for those without a record."""
        pace = self._measured / self._recorded if self._recorded else 1.0
        return pace * sum(self._left[name] for name in stages or self._left)

    def end(self, stage: str, seconds: float) -> None:
        """`stage` has ended after so many `seconds`, 0 if it did not run."""
        recorded = self._left.pop(stage)
        if recorded and seconds:
            self._recorded += recorded
            self._measured += seconds


def run_stages(
    stages: Sequence[PlannedStage], backend: Any, variants: Sequence[str]
) -> dict[str, float | None]:
    """Run `stages`, but those behind a failed one; a single local job stops at the first failure.

    The seconds of each, 0 where it did not have to run, None where it failed. After an evaluation
    those of `variants` that have ended are compared, on this machine.
    """
    one_by_one = getattr(backend, "jobs", 0) == 1
    unknown = 0.0 if one_by_one else float("inf")
    # Evaluations are short and show more than the next training. Side by side the longest first.
    order = sorted(stages, key=lambda s: (s.seconds or unknown) * (1 if one_by_one else -1))
    order.sort(key=lambda stage: one_by_one and stage.name.startswith("train@"))
    clock, started = Clock(stages), set[str]()
    before = {stage.name: environment.recorded(stage.name) for stage in stages}
    seconds: dict[str, float | None] = {}
    while ready := [
        stage.name
        for stage in order
        if stage.name not in seconds
        and all(seconds.get(name) is not None for name in stage.upstream)
    ]:
        for name in backend.submit(ready):
            started.add(name)
            about, left = (duration(clock.seconds(*part) or None) for part in ((name,), ()))
            log = "" if one_by_one else f", log in {log_path(name)}"
            count = f"[{len(started)}/{len(stages)}]"
            print(f"{count} {name}, about {about}; {left} left{log}", flush=True)
        ended = backend.ended()
        for name, succeeded in ended.items():
            record = environment.recorded(name)
            taken = record["seconds"] if record != before[name] else 0.0
            seconds[name] = taken if succeeded else None
            clock.end(name, taken)
            if not one_by_one:
                print(f"{name}  {'ended' if succeeded else 'failed'}", flush=True)
            elif not succeeded:
                return seconds
        if any(name.startswith("evaluate@") and ended[name] for name in ended):
            compare_ended(variants, [s.name for s in stages if seconds.get(s.name) is None])
    return seconds


def compare_ended(variants: Sequence[str], pending: Sequence[str]) -> None:
    """Compare those `variants` that have no `pending` stage, unless no training is pending."""
    unfinished = set(map(variant_of, pending))
    is_training = any(name.startswith("train@") for name in pending)
    ended = [name for name in variants if name not in unfinished]
    for stage in ("compare", "page") if ended and is_training else ():
        run_process(sys.executable, "-m", "pipeline", stage, *ended)


def drop_stale_seeds() -> None:
    """Delete results of further seeds that are of other settings, code or data.

    They would be averaged with those of the first seed; git has them.
    """
    seeds = set(further_seeds(lookup(read_params(), "variants")))
    stages = plan_stages([f"evaluate@{name}" for name in sorted(seeds)]) if seeds else []
    for name in sorted({variant_of(s.name) for s in stages if s.has_new_inputs} & seeds):
        if (results := paths.RESULTS / name).exists():
            shutil.rmtree(results)
            print(f"{name}: deleted results of other settings, code or data; `make seeds`")


def summary(stages: Sequence[PlannedStage], seconds: Mapping[str, float | None]) -> str:
    """A table of the trained variants: accuracy, seconds of this training and of the one before."""
    rows = {
        variant_of(stage.name): {
            "test accuracy": f"{read_metrics(variant_of(stage.name)).accuracy:.4f}",
            "time": duration(seconds[stage.name]),
            "recorded": duration(stage.seconds),
        }
        for stage in stages
        if stage.name.startswith("train@") and seconds[stage.name]
    }
    return pd.DataFrame.from_dict(rows, orient="index").to_string() if rows else "done"


def main(arguments: Sequence[str]) -> int:
    """The command line; the exit status is not 0 when a stage failed."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.tools.repro")
    backends = parser.add_mutually_exclusive_group()
    backends.add_argument("--jobs", type=int, metavar="N", help="stages at a time, on this machine")
    backends.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster")
    parser.add_argument("--plain", action="store_true", help="allow an address without TLS")
    parser.add_argument("--seeds", action="store_true", help="further seeds, too")
    parser.add_argument("targets", nargs="*", metavar="STAGE", help="these and what they need")
    options = parser.parse_args(arguments)
    processes.raise_exit_on_signals()
    variants = {} if options.targets else lookup(read_params(), "variants")
    # A worker's clone has the results of further seeds, be they stale or not.
    left_out = [] if options.seeds or options.scheduler else further_seeds(variants)
    if not (stages := plan_stages(options.targets, left_out)):
        print("everything is up to date")
        return 0
    names, lock_order = [s.name for s in stages], [*read_entries(), *(s.name for s in stages)]
    for name in names:
        log_path(name).unlink(missing_ok=True)
    if options.scheduler:
        from pipeline.cluster.remote import RemoteBackend  # needs Dask

        backend: Any = RemoteBackend(options.scheduler, plain=options.plain)
    else:
        backend = LocalBackend(options.jobs or 1)
    with backend:
        seconds = run_stages(stages, backend, [name for name in variants if name not in left_out])
    sort_entries(lock_order)
    for name in [name for name in seconds if seconds[name] is None]:
        log = log_path(name).read_text("utf-8", "replace") if log_path(name).exists() else ""
        print(f"\n{name} failed", *log.splitlines()[-20:], sep="\n  ")
    if not_started := [name for name in names if name not in seconds]:
        print(f"\nnot started: {', '.join(not_started)}")
    if None in seconds.values():
        return 1
    print(summary(stages, seconds))
    return 0


def log_path(stage: str) -> Path:
    """The log of `stage`, in a folder that exists."""
    Path("logs").mkdir(exist_ok=True)
    return Path("logs", f"{stage}.log")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (PipelineError, CalledProcessError) as error:
        sys.exit(f"repro: {error}")
