"""Where stages run: in this process's own cluster, or on the workers of a scheduler elsewhere."""

import dataclasses
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from distributed import Client, LocalCluster

from pipeline.base.errors import PipelineError
from pipeline.ops import dvc_project, memory
from pipeline.ops.cluster import here, order, stage, there
from pipeline.ops.cluster.jobs import DVC, Job
from pipeline.ops.cluster.tasks import Needs, Taken, Task
from pipeline.ops.plan_stages import StagePlan

CONNECTING_SECONDS = 20
WAITING_SECONDS = 60  # for the first worker


@dataclasses.dataclass(frozen=True)
class Place:
    """A cluster, what its tasks are and need, and what becomes of what they give.

    `started` fills with the stages under way; `nudge` is to be called now and then.
    """

    client: Client
    task: Task
    needs: Needs
    taken: Taken
    started: Collection[str]
    nudge: Callable[[], object]


@contextmanager
def this_machine(jobs: int, stages: Sequence[StagePlan]) -> Iterator[Place]:
    """`jobs` stages at a time, fewer trainings where memory has no room for as many."""
    gibibytes = memory.allowed() / memory.GIB
    training = {"memory": min(memory.NEEDED, gibibytes)}
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=jobs,
            processes=False,
            memory_limit=None,  # of this process, which stays small
            resources={"memory": gibibytes},
            dashboard_address=None,
        ) as cluster,
        Client(cluster) as client,
    ):
        needs = {s.stage: training if s.stage.startswith("train@") else {} for s in stages}
        yield Place(client, here.task, needs, lambda *_: None, _started(client), lambda: None)


@contextmanager
def elsewhere(scheduler: str, stages: Sequence[StagePlan]) -> Iterator[Place]:
    """The workers of the Dask `scheduler` that have the libraries and the processor, also those
    that come later.

    Raises PipelineError when there is no such scheduler or no such worker.
    """
    told = order.make() | {"run": uuid4().hex}
    libraries, flags = order.requirements()
    # Other projects' stages on the same cluster may need other ones.
    needed = f"stages-{hashlib.sha256(repr((libraries, flags)).encode()).hexdigest()[:12]}"
    try:
        client = Client(scheduler, timeout=CONNECTING_SECONDS)
    except (OSError, TimeoutError) as error:
        raise PipelineError(
            f"CLUSTER={scheduler}: expected a Dask scheduler, found none ({error}); start it, "
            "docs/cluster.md"
        ) from error
    with client:
        started = _started(client)
        client.register_plugin(there.Suitable(needed, libraries, flags))
        _expect_a_worker(client, scheduler, needed)
        _push_what_is_made(stages)
        run = there.run

        # Dask sends by name whatever has one that can be imported; what is made here goes as code.
        def task(name: str, *before: stage.Result) -> stage.Result:
            return run(told, name, *before)

        needs = {each.stage: {needed: 1} for each in stages}
        wake = there.wake

        def take(name: str, result: stage.Result) -> None:
            client.set_metadata([told["run"], name], result)
            _take(name, result)

        yield Place(client, task, needs, take, started, lambda: client.run_on_scheduler(wake))
        client.set_metadata(told["run"], {})


def _expect_a_worker(client: Client, scheduler: str, needed: str) -> None:
    try:
        client.wait_for_workers(1, timeout=WAITING_SECONDS)
    except TimeoutError as error:
        raise PipelineError(
            f"CLUSTER={scheduler}: expected a worker, none came in {WAITING_SECONDS} s; start one, "
            "docs/cluster.md"
        ) from error
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if not any(needed in worker["resources"] for worker in workers):
        raise PipelineError(
            f"CLUSTER={scheduler}: none of its {len(workers)} workers can run stages; `make setup` "
            "of this commit gives them the libraries"
        )


def _push_what_is_made(stages: Sequence[StagePlan]) -> None:
    """Give the DVC remote what `stages` read of those that are up to date here."""
    made = {before for each in stages for before in each.after} - {each.stage for each in stages}
    if made and here.children.run([*DVC, "push", "--quiet", *sorted(made)]):
        raise PipelineError("what workers read cannot be given to the DVC remote; mend that")


def _take(name: str, result: stage.Result) -> None:
    """Have what a stage gave here as if it had run here."""
    with dvc_project.opened(wait=True):
        stage.put(result)
    if here.children.run([*DVC, "pull", "--quiet", name]):
        raise PipelineError(f"{name}: its outputs cannot be had from the DVC remote; mend that")


def _started(client: Client) -> Collection[str]:
    """Fills with the stages under way; what they say goes into their logs."""
    started: set[str] = set()

    def hear(event: tuple[float, Mapping[str, Any]]) -> None:
        _, told = event
        if "lacks" in told:
            print(f"worker {told['worker']} gets no stage: it lacks {told['lacks']}", flush=True)
        elif "output" in told:
            Job(told["stage"]).add(told["output"])
        else:
            if "worker" in told:
                Job(told["stage"]).begin(f"on {told['worker']}\n")
            started.add(told["stage"])

    client.subscribe_topic(there.TOPIC, hear)
    return started
