"""`dvc repro` with stages side by side: `python -m pipeline.cluster --jobs N [STAGE ...]`.

`--scheduler ADDRESS` runs them on the workers of a Dask scheduler. Each stage runs as
`dvc repro --single-item`, which locks its own outputs; a plain `dvc repro STAGE` also locks those
of all upstream stages, and fails with "is busy" beside another (treeverse/dvc 11054).
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from subprocess import CalledProcessError

from distributed import KilledWorker

from pipeline.cluster import lock, remote, schedule
from pipeline.cluster.worker import DVC, run_process
from pipeline.core.errors import PipelineError
from pipeline.tools import processes
from pipeline.tools.plan import plan_stages


def main(arguments: Sequence[str]) -> int:
    """The command line; the exit status is not 0 when a stage failed."""
    options = _parse(arguments)
    logging.disable()  # what matters of Dask's messages is printed by this package
    processes.raise_exit_on_signals()
    stages = plan_stages(options.targets)
    names = [stage.name for stage in stages]
    if not stages:
        print("everything is up to date")
        return 0
    backend = (
        remote.RemoteBackend(remote.connected(options.scheduler, plain=options.plain), names)
        if options.scheduler
        else schedule.Backend(schedule.local_client(options.jobs))
    )
    with lock.in_plan_order(names), backend.client:
        ended = schedule.run_stages(stages, backend)
        for name in [name for name, succeeded in ended.items() if not succeeded]:
            lines = schedule.log_path(name).read_text("utf-8", "replace").splitlines()
            print(f"\n{name} failed; the end of its log:", *lines[-20:], sep="\n  ")
        if not_started := [name for name in names if name not in ended]:
            print(f"\nnot started: {', '.join(not_started)}")
        # DVC has the last word, and prints nothing when it agrees.
        return run_process(*DVC, "repro", "--quiet", *options.targets) if all(ended.values()) else 1


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pipeline.cluster")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--jobs", type=int, metavar="N", help="stages at a time, on this machine")
    where.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster")
    parser.add_argument("--plain", action="store_true", help="allow an address without TLS")
    parser.add_argument("targets", nargs="*", metavar="STAGE", help="these and what they need")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (PipelineError, CalledProcessError, KilledWorker) as error:
        sys.exit(f"cluster: {error}")
