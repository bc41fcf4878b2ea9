"""Where stages run: in this process's own cluster, or on the workers of a scheduler elsewhere."""

import dataclasses
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from distributed import Client, LocalCluster

from pipeline.base.errors import PipelineError
from pipeline.cluster import clone, here, order, stage, there
from pipeline.cluster.jobs import DVC, Job
from pipeline.cluster.tasks import Place
from pipeline.tools import dvc_project, memory_estimate
from pipeline.tools.plan_stages import StagePlan

CONNECTING_SECONDS = 20
WAITING_SECONDS = 60  # for the first worker


@dataclasses.dataclass(frozen=True)
class Elsewhere(Place):
    """Workers that know of a run what the scheduler's metadata have under its `run_id`."""

    run_id: str

    def tell(
        self,
        stages: Sequence[StagePlan],
        told: Mapping[str, Any],
        folder: Path = Path(),
        *,
        within: str = "",
    ) -> None:
        """Have workers know what they need for `stages`, which are pending in `folder`: the order
        `told`, and the outputs of the other stages there."""
        _push_what_is_made(folder, stages)
        self.client.set_metadata([self.run_id, within], told)

    def take(
        self, given: Mapping[str, stage.Result], folder: Path = Path(), *, within: str = ""
    ) -> None:
        """Have in `folder` what stages gave as if they had run there."""
        for name, result in given.items():
            self.client.set_metadata([self.run_id, name], result)
        names = [name.removeprefix(within) for name in given]
        with dvc_project.opened(folder, wait=True) as repo:
            stage.put(list(given.values()), folder)
            for each in repo.index.stages:
                if each.addressing in names:  # found again where the same is to be made once more
                    repo.stage_cache.save(each)
        _exchange("pull", names, folder)


@contextmanager
def this_machine(jobs: int) -> Iterator[Place]:
    """`jobs` stages at a time, fewer trainings where memory has no room for as many."""
    gibibytes = memory_estimate.available_memory() / memory_estimate.GIB
    training = {"memory": min(memory_estimate.LARGEST_TRAINING / memory_estimate.GIB, gibibytes)}
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

        def needs(name: str) -> Mapping[str, float]:
            return training if name.startswith("train@") else {}

        yield Place(client, here.task, needs, _started(client), lambda: None)


@contextmanager
def elsewhere(scheduler: str) -> Iterator[Elsewhere]:
    """The workers of the Dask `scheduler` that have the libraries and the processor, also those
    that come later.

    Raises PipelineError when there is no such scheduler or no such worker.
    """
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
        run, run_id, wake = there.run, uuid4().hex, there.wake

        # Dask sends by name whatever has one that can be imported; what is made here goes as code.
        def task(name: str, *before: stage.Result) -> stage.Result:
            return run(run_id, name, *before)

        nudge = partial(client.run_on_scheduler, wake)
        yield Elsewhere(client, task, lambda _: {needed: 1}, started, nudge, run_id)
        client.set_metadata(run_id, {})


def _expect_a_worker(client: Client, scheduler: str, needed: str) -> None:
    try:
        client.wait_for_workers(1, timeout=WAITING_SECONDS)
    except TimeoutError as error:
        raise PipelineError(
            f"CLUSTER={scheduler}: expected a worker, none came in {WAITING_SECONDS} s; start one, "
            "docs/cluster.md"
        ) from error
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if not any(worker["resources"].get(needed) for worker in workers.values()):
        # What `_started` hears of it may come later.
        told = [event for _, event in client.get_events(there.TOPIC)]
        lacks = {event["worker"]: event["lacks"] for event in told if "lacks" in event}
        found = [f"{worker} lacks {lacks[worker]}" for worker in workers if worker in lacks]
        raise PipelineError(
            f"CLUSTER={scheduler}: none of its {len(workers)} workers can run stages: "
            f"{', '.join(found)}; mend that, where it is libraries by `make setup` of this commit"
        )


def _push_what_is_made(folder: Path, stages: Sequence[StagePlan]) -> None:
    """Give the DVC remote what `stages` read of those that are up to date in `folder`."""
    made = {before for each in stages for before in each.after} - {each.stage for each in stages}
    if made:
        _exchange("push", sorted(made), folder)


def _exchange(direction: str, stages: Sequence[str], folder: Path) -> None:
    """Have DVC `push` or `pull` the outputs of `stages`, by the DVC remote."""
    command = [*DVC, direction, "--quiet", *stages]

    def attempt() -> str:
        return f"dvc {direction} failed" if here.children.run(command, folder=folder) else ""

    if wrong := clone.patiently(attempt):
        raise PipelineError(f"{wrong} for the outputs of {', '.join(stages)}; mend the DVC remote")


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
