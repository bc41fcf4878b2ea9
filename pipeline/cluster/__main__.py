"""`dvc repro` with stages side by side: `python -m pipeline.cluster --jobs N [STAGE ...]`, or
`--scheduler ADDRESS` for the workers of a Dask cluster; with `--queue` what DVC's queue holds.

Dask schedules; the graph is DVC's. Each stage runs as `dvc repro --single-item`. That form locks
only its own outputs, so neighbours do not meet; a plain `dvc repro STAGE` locks all that is
upstream as well, and two of them fail with "is busy" (treeverse/dvc 11054).
"""

import argparse
import logging
import sys
from collections.abc import Iterable, Sequence
from uuid import uuid4

from pipeline.tools import activation

try:
    import cloudpickle

    from pipeline.base.errors import PipelineError
    from pipeline.cluster import clone, experiments, here, lock, order, places, tasks, there
    from pipeline.cluster.jobs import Job, repro
    from pipeline.tools import stopping
    from pipeline.tools.plan_stages import PENDING, StagePlan, make
except ModuleNotFoundError as error:
    sys.exit(f"cluster: {error}: `make repro JOBS=2` installs it; or {activation.REMEDY}")

TAIL_LINES = 20  # of a failed stage's log


def run(targets: Iterable[str], options: argparse.Namespace) -> list[Job]:
    """Bring `targets` (none: everything) up to date; the stages that failed.

    Starts only what the plan names. Raises PipelineError when DVC cannot plan or finish the work.
    No process of this machine outlives the call, whatever exception ends it.
    """
    targets = tuple(targets)
    plan = order.restored(targets) if options.scheduler else make(targets)
    pending = plan.having(*PENDING)
    if not pending:
        print("everything is up to date")
        return []
    with lock.ordered(plan):
        failed = (
            _elsewhere(pending, options.scheduler)
            if options.scheduler
            else _here(pending, options.jobs)
        )
        # The plan is a forecast; DVC has the last word, and is silent when it agrees.
        if not failed and here.children.run(repro("--quiet", *targets)):
            raise PipelineError("the closing `dvc repro` failed for the reason above; mend it")
    return failed


def _here(pending: Sequence[StagePlan], jobs: int) -> list[Job]:
    with places.this_machine(jobs) as place, tasks.ended(place) as futures:
        futures |= tasks.submit(place, pending, base=uuid4().hex)
        return tasks.watch(place, futures, lambda _: None)


def _elsewhere(pending: Sequence[StagePlan], scheduler: str) -> list[Job]:
    told = order.make()
    with places.elsewhere(scheduler) as place, tasks.ended(place) as futures:
        place.tell(pending, told)
        futures |= tasks.submit(place, pending, base=place.run_id)
        return tasks.watch(place, futures, place.take)


def _report(failed: Iterable[Job]) -> None:
    for job in failed:
        print(f"\n{job.stage} failed; the end of {job.log}:", file=sys.stderr)
        for line in job.tail(TAIL_LINES):
            print(f"  {line}", file=sys.stderr)


def main(arguments: list[str]) -> int:
    """The command line; the exit status is 1 when a stage failed."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.cluster")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--jobs", type=int, metavar="N", help="stages at a time, on this machine")
    where.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster")
    parser.add_argument(
        "--plain", action="store_true", help="take a tcp:// address that is not here"
    )
    parser.add_argument("--queue", action="store_true", help="run the experiments in DVC's queue")
    parser.add_argument("targets", nargs="*", metavar="STAGE", help="these and what they need")
    options = parser.parse_args(arguments)
    if options.scheduler:
        order.expect_private(options.scheduler, plain=options.plain)
    elif options.queue:
        parser.error("--queue needs --scheduler; on this machine: dvc queue start --jobs N")
    elif options.jobs < 1:
        parser.error(f"argument --jobs: expected 1 or more, found {options.jobs}")
    for name in [name for name in logging.root.manager.loggerDict if "distributed" in name]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is told below
    for module in (there, clone):  # workers have none of this project
        cloudpickle.register_pickle_by_value(module)
    stopping.raise_exit_on_signals()
    failed = experiments.run(options.scheduler) if options.queue else run(options.targets, options)
    _report(failed)
    return int(bool(failed))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except PipelineError as error:
        sys.exit(f"cluster: {error}")
