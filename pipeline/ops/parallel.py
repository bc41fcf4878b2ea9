"""`dvc repro` with stages side by side: `python -m pipeline.ops.parallel --jobs N [STAGE ...]`.

The standard library schedules: graphlib hands out the stages whose inputs are ready, a thread
pool starts N of them at a time, each as `dvc repro --single-item`. That form locks only its own
outputs, so neighbours do not meet; a plain `dvc repro STAGE` locks all that is upstream as well,
and two of them fail with "is busy" (treeverse/dvc 11054).
"""

import argparse
import graphlib
import math
import sys
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from pipeline.base.errors import PipelineError
from pipeline.ops import parallel_lock, parallel_screen, stopping
from pipeline.ops.parallel_jobs import Children, Job, repro
from pipeline.ops.plan_stages import StagePlan, Status, make

LOOK_SECONDS = 0.5  # between two looks at the logs
TAIL_LINES = 20  # of a failed stage's log


def run(targets: Iterable[str], jobs: int) -> list[Job]:
    """Bring `targets` (none: everything) up to date with `jobs` stages at a time.

    Starts only what the plan names. A stage that fails holds back those behind it and no other.
    Returns the failed ones. Raises PipelineError when DVC cannot plan or finish the work. No
    process outlives the call, whatever exception ends it.
    """
    targets = tuple(targets)
    plan = make(targets)
    pending = plan.having(Status.WILL_RUN, Status.RESTORED, Status.MAY_FOLLOW)
    if not pending:
        print("everything is up to date")
        return []
    children = Children()
    with parallel_lock.ordered(plan), ThreadPoolExecutor(jobs) as pool:
        try:
            if failed := _schedule(pending, pool, children):
                return failed
            # The plan is a forecast; DVC has the last word, and is silent when it agrees. Only
            # threads start processes: a signal cannot strike between a start and its record.
            if pool.submit(children.run, repro("--quiet", *targets)).result():
                raise PipelineError("the closing `dvc repro` failed for the reason above; mend it")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            children.end()  # else leaving the pool would wait for what still runs
            raise
    return []


def _schedule(
    pending: Iterable[StagePlan], pool: ThreadPoolExecutor, children: Children
) -> list[Job]:
    """Run the stages as their inputs become ready; the failed ones are returned."""
    stages = {stage.stage: stage for stage in pending}
    sorter = graphlib.TopologicalSorter(
        {
            name: [before for before in stage.after if before in stages]
            for name, stage in stages.items()
        }
    )
    sorter.prepare()
    failed: list[Job] = []
    running: dict[Future[int], Job] = {}
    with parallel_screen.screen() as screen:
        while True:
            for name in sorted(sorter.get_ready(), key=lambda name: _rank(stages[name])):
                job = Job(name)
                running[pool.submit(job.run, children)] = job
            if not running:
                return failed
            done, _ = wait(running, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                job = running.pop(future)
                if future.result():
                    failed.append(job)
                else:
                    sorter.done(job.stage)
                screen.finished(job, succeeded=not future.result())
            screen.show([job for future, job in running.items() if future.running()])


def _rank(stage: StagePlan) -> float:
    """Sorts the longest first, lest it be left running alone at the end; unknown may be long."""
    return -math.inf if stage.seconds is None else -stage.seconds


def _report(failed: Iterable[Job]) -> None:
    for job in failed:
        print(f"\n{job.stage} failed; the end of {job.log}:", file=sys.stderr)
        for line in job.tail(TAIL_LINES):
            print(f"  {line}", file=sys.stderr)


def main(arguments: list[str]) -> int:
    """The command line; the exit status is 1 when a stage failed."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.ops.parallel")
    parser.add_argument("--jobs", type=int, required=True, metavar="N", help="stages at a time")
    parser.add_argument("targets", nargs="*", metavar="STAGE", help="these and what they need")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error(f"argument --jobs: expected 1 or more, found {options.jobs}")
    stopping.raise_exit_on_signals()
    failed = run(options.targets, options.jobs)
    _report(failed)
    return int(bool(failed))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except PipelineError as error:
        sys.exit(f"parallel: {error}")
