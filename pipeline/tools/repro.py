"""`dvc repro` stage by stage, with the time left: `python -m pipeline.tools.repro [STAGE ...]`.

One after another, short trainings first, or side by side: here (--jobs) or on the workers of a Dask
scheduler. Each stage runs as `dvc repro --single-item`, which locks its own outputs; a plain
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
from typing import Any

from pipeline.cluster.worker import POLL_SECONDS, run_process, start_process
from pipeline.comparison.seeds import further_seeds
from pipeline.core import paths
from pipeline.core.params import lookup, read_params
from pipeline.evaluation.metrics import read_metrics
from pipeline.tools import environment, processes
from pipeline.tools.environment import variant_of
from pipeline.tools.plan import PlannedStage, duration, plan_stages

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


def run_stages(
    stages: Sequence[PlannedStage], backend: Any, variants: Sequence[str]
) -> dict[str, bool]:
    """Run `stages` by `backend`, printing what starts and fails; whether each that ended succeeded.

    After an evaluation those of `variants` that have ended are compared, on this machine.
    """
    one_by_one = getattr(backend, "jobs", 0) == 1
    unknown = 0.0 if one_by_one else float("inf")
    # Evaluations are short and show more than the next training. Side by side the longest first.
    order = sorted(stages, key=lambda s: (s.seconds or unknown) * (1 if one_by_one else -1))
    order.sort(key=lambda stage: one_by_one and stage.name.startswith("train@"))
    recorded = {stage.name: stage.seconds for stage in stages}
    started, succeeded = set[str](), dict[str, bool]()
    while ready := [
        stage.name
        for stage in order
        if stage.name not in succeeded and all(succeeded.get(name) for name in stage.upstream)
    ]:
        for name in backend.submit(ready):
            started.add(name)
            left = sum(recorded[other] or 0 for other in recorded if other not in succeeded) or None
            log = "" if one_by_one else f", log in {log_path(name)}"
            print(
                f"[{len(started)}/{len(stages)}] {name}, last time {duration(recorded[name])}; "
                f"{duration(left)} left{log}",
                flush=True,
            )
        succeeded |= (ended := backend.ended())
        for name in ended:
            if not one_by_one:
                print(f"{name}  {'ended' if ended[name] else 'failed'}", flush=True)
            elif not ended[name]:
                return succeeded
        if any(name.startswith("evaluate@") and ended[name] for name in ended):
            compare_ended(variants, [name for name in recorded if not succeeded.get(name)])
    return succeeded


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


def print_trained(succeeded: Mapping[str, bool], since: float) -> None:
    """A line per variant that was trained `since` then, and evaluated: test accuracy and time."""
    for name in (variant_of(stage) for stage in succeeded if stage.startswith("evaluate@")):
        record = environment.path(f"train@{name}")
        # A training whose result DVC restored wrote no record.
        if succeeded[f"evaluate@{name}"] and record.exists() and record.stat().st_mtime >= since:
            seconds = duration(environment.read_record(record)["seconds"])
            print(f"{name:<12}  test accuracy {read_metrics(name).accuracy:.4f}  {seconds:>12}")


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
    variants = {} if options.targets else lookup(read_params(), "variants")
    # A worker's clone has the results of further seeds, be they stale or not.
    left_out = [] if options.seeds or options.scheduler else further_seeds(variants)
    if not (stages := plan_stages(options.targets, left_out)):
        print("everything is up to date")
        return 0
    for name in (names := [stage.name for stage in stages]):
        log_path(name).unlink(missing_ok=True)
    if options.scheduler:
        from pipeline.cluster.remote import RemoteBackend  # needs Dask

        backend: Any = RemoteBackend(options.scheduler, plain=options.plain)
    else:
        backend = LocalBackend(options.jobs or 1)
    started = time.time()
    with backend:
        succeeded = run_stages(stages, backend, [v for v in variants if v not in left_out])
    print_trained(succeeded, started)
    for name in [name for name in succeeded if not succeeded[name]]:
        log = log_path(name).read_text("utf-8", "replace") if log_path(name).exists() else ""
        print(f"\n{name} failed", *log.splitlines()[-20:], sep="\n  ")
    if not_started := [name for name in names if name not in succeeded]:
        print(f"\nnot started: {', '.join(not_started)}")
    return int(not all(succeeded.values()))


def log_path(stage: str) -> Path:
    """The log of `stage`, in a folder that exists."""
    Path("logs").mkdir(exist_ok=True)
    return Path("logs", f"{stage}.log")


if __name__ == "__main__":
    processes.run_command(main, sys.argv[1:])
