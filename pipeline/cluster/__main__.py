"""`dvc repro` with stages side by side: `python -m pipeline.cluster --jobs N [STAGE ...]`.

`--scheduler ADDRESS` runs them on the workers of a Dask scheduler. Each stage runs as
`dvc repro --single-item`, which locks its own outputs; a plain `dvc repro STAGE` also locks those
of all upstream stages, and fails with "is busy" beside another (treeverse/dvc 11054).
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from pipeline.tools import activation

try:
    from pipeline.base.errors import PipelineError
    from pipeline.cluster import local, lock, remote, schedule
    from pipeline.cluster.worker import DVC, run_process
    from pipeline.tools import signals
    from pipeline.tools.plan import plan_stages
except ModuleNotFoundError as error:
    sys.exit(f"cluster: {error}: `make repro JOBS=2` installs it; or {activation.REMEDY}")

LOG_LINES = 20  # of a failed stage


def main(arguments: Sequence[str]) -> int:
    """The command line; the exit status is 1 when a stage failed."""
    options = _parse(arguments)
    logging.disable()  # what matters of Dask's messages is printed by this package
    signals.raise_exit_on_signals()
    stages = plan_stages(options.targets)
    if not stages:
        print("everything is up to date")
        return 0
    backend = (
        remote.remote_backend(options.scheduler, stages)
        if options.scheduler
        else local.local_backend(options.jobs)
    )
    with lock.in_plan_order([stage.name for stage in stages]):
        with backend as running:
            failed, not_started = schedule.run_stages(stages, running)
        # DVC has the last word, and prints nothing when it agrees.
        if not failed and run_process(*DVC, "repro", "--quiet", *options.targets):
            raise PipelineError("the closing `dvc repro` failed for the reason above")
    _report(failed, not_started)
    return int(bool(failed))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pipeline.cluster")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--jobs", type=int, metavar="N", help="stages at a time, on this machine")
    where.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster")
    parser.add_argument("--plain", action="store_true", help="allow tcp:// to another machine")
    parser.add_argument("targets", nargs="*", metavar="STAGE", help="these and what they need")
    options = parser.parse_args(arguments)
    if options.scheduler and not options.plain:
        remote.expect_encrypted(options.scheduler)
    if options.jobs is not None and options.jobs < 1:
        parser.error(f"argument --jobs: expected 1 or more, found {options.jobs}")
    return options


def _report(failed: Sequence[str], not_started: Sequence[str]) -> None:
    for stage in failed:
        text = schedule.log_path(stage).read_text(encoding="utf-8", errors="replace")
        lines = [line for line in text.splitlines() if line.strip()]  # also at \r of progress bars
        print(f"\n{stage} failed; the end of its log:", *lines[-LOG_LINES:], sep="\n  ")
    if not_started:
        print(f"\nnot started: {', '.join(not_started)}")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except PipelineError as error:
        sys.exit(f"cluster: {error}")
