"""A stage as a task on this machine: a child process, with a log of its own."""

from distributed import get_worker

from pipeline.cluster import there
from pipeline.cluster.jobs import Children, Job

children = Children()


def task(stage: str, *_before: None) -> None:
    """Run `stage`, without those before it; RuntimeError when it fails."""
    get_worker().log_event(there.TOPIC, {"stage": stage})
    if Job(stage).run(children):
        raise RuntimeError(there.FAILED, stage)
