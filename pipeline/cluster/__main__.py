"""`dvc repro` with stages side by side: `python -m pipeline.cluster --jobs N [STAGE ...]`.

`--scheduler ADDRESS` runs them on the workers of a Dask scheduler. Each stage runs as
`dvc repro --single-item`, which locks its own outputs; a plain `dvc repro STAGE` also locks those
of all upstream stages, and fails with "is busy" beside another (treeverse/dvc 11054).
"""

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from subprocess import CalledProcessError

from distributed import KilledWorker

from pipeline.cluster import schedule
from pipeline.cluster.worker import DVC, POLL_SECONDS, run_process
from pipeline.comparison.seeds import further_seeds
from pipeline.core.errors import PipelineError
from pipeline.core.params import lookup, read_params
from pipeline.tools import processes
from pipeline.tools.plan import PlannedStage, plan_stages


def main(arguments: Sequence[str]) -> int:
    """The command line; the exit status is not 0 when a stage failed."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.cluster")
    backends = parser.add_mutually_exclusive_group(required=True)
    backends.add_argument("--jobs", type=int, metavar="N", help="stages at a time, on this machine")
    backends.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster")
    parser.add_argument("--plain", action="store_true", help="allow an address without TLS")
    parser.add_argument("--seeds", action="store_true", help="further seeds, too")
    parser.add_argument("targets", nargs="*", metavar="STAGE", help="these and what they need")
    options = parser.parse_args(arguments)
    logging.disable()  # what matters of Dask's messages is printed by this package
    processes.raise_exit_on_signals()
    # A worker's clone has the results of further seeds, be they stale or not.
    with_seeds = options.seeds or options.scheduler or options.targets
    seeds = [] if with_seeds else further_seeds(lookup(read_params(), "variants"))
    if not (stages := plan_stages(options.targets, seeds)):
        print("everything is up to date")
        return 0
    backend = (
        schedule.RemoteBackend(options.scheduler, plain=options.plain)
        if options.scheduler
        else schedule.Backend(schedule.local_client(options.jobs))
    )
    if not run_stages(stages, backend):
        return 1
    # DVC has the last word, and prints nothing when it agrees.
    return run_process(*DVC, "repro", "--quiet", "--single-item", *(s.name for s in stages))


def run_stages(stages: Sequence[PlannedStage], backend: schedule.Backend) -> bool:
    """Run `stages`, but those behind a failed one; whether all succeeded.

    Of the stages that are ready, those of unknown duration are submitted first, then the longest.
    """
    names = [stage.name for stage in stages]
    lock_order = [*schedule.read_entries(), *names]
    longest_first = sorted(stages, key=lambda stage: stage.seconds or float("inf"), reverse=True)
    for name in names:
        schedule.log_path(name).unlink(missing_ok=True)
    ended: dict[str, bool] = {}
    with backend.client:
        while ready := [
            stage.name
            for stage in longest_first
            if stage.name not in ended and all(map(ended.get, stage.upstream))
        ]:
            backend.submit(ready)
            time.sleep(POLL_SECONDS)
            ended |= backend.ended()
    schedule.sort_entries(lock_order)
    for name in [name for name, succeeded in ended.items() if not succeeded]:
        lines = schedule.log_path(name).read_text("utf-8", "replace").splitlines()
        print(f"\n{name} failed; the end of its log:", *lines[-20:], sep="\n  ")
    if not_started := [name for name in names if name not in ended]:
        print(f"\nnot started: {', '.join(not_started)}")
    return all(ended.values())


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (PipelineError, CalledProcessError, KilledWorker) as error:
        sys.exit(f"cluster: {error}")
