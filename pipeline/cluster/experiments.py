"""What `dvc exp run --queue` has queued, run on a cluster, and saved as DVC's own queue would.

DVC makes an experiment's folder and saves what is in it; only who runs its stages is another.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dask.base import tokenize
from distributed import Future
from dvc.repo import Repo
from dvc.repo.experiments.executor.base import BaseExecutor, ExecutorInfo
from dvc.repo.experiments.executor.local import TempDirExecutor
from dvc.repo.experiments.queue.base import BaseStashQueue, QueueEntry

from pipeline.base.errors import PipelineError
from pipeline.base.params_file import PARAMS_FILE
from pipeline.cluster import here, order, places, tasks
from pipeline.cluster.jobs import DVC, Job
from pipeline.cluster.places import Elsewhere
from pipeline.tools.plan_stages import PENDING, StagePlan

# What DVC packs with each; anything else says which stages run, and workers are told one by one.
USUAL = {"targets", "run_env", "on_error"}
ARGUMENTS = Path(".dvc/tmp", BaseExecutor.PACKED_ARGS_FILE)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A queued experiment, with its changes in a `folder` of its own, and what is to run there."""

    entry: QueueEntry
    executor: TempDirExecutor
    pending: tuple[StagePlan, ...]

    @property
    def folder(self) -> Path:
        return Path(self.executor.root_dir)

    @property
    def within(self) -> str:
        """What its stages' names begin with where those of several run together."""
        return f"{self.entry.name}/"


def run(scheduler: str) -> list[Job]:
    """Run all that is queued, and save each experiment whose stages have all succeeded.

    The stages that failed; their experiments stay queued, as do all when an exception ends it.
    """
    with Repo() as repo, ExitStack() as stack:
        queued = list(repo.experiments.celery_queue.iter_queued())
        if not queued:
            print("no experiment is queued; `dvc exp run --queue -S KEY=VALUE,VALUE` queues some")
            return []
        place = stack.enter_context(places.elsewhere(scheduler))
        futures = stack.enter_context(tasks.ended(place))
        opened = {}
        for entry in queued:
            one = stack.enter_context(_opened(repo, entry))
            opened[one.within] = one
            futures |= _submit(place, one)
            if not one.pending:
                _save(repo, one)
        left = {within: {s.stage for s in one.pending} for within, one in opened.items()}

        def take(given: Mapping[str, Any]) -> None:
            for within, group in _by_experiment(given).items():
                place.take(group, opened[within].folder, within=within)
                left[within] -= {name.removeprefix(within) for name in group}
                if not left[within]:
                    _save(repo, opened[within])

        failed = tasks.watch(place, futures, take)
    for within in (within for within in left if left[within]):
        print(f"{within.rstrip('/')}  stays queued, as a stage failed", flush=True)
    return failed


def _submit(place: Elsewhere, one: Experiment) -> dict[str, Future[Any]]:
    """The stages of `one` as tasks, which it shares with other experiments where it can."""
    try:
        told = order.make(one.folder, also=[PARAMS_FILE])
    except PipelineError as error:
        raise PipelineError(f"experiment {one.entry.name}: {error}") from error
    place.tell(one.pending, told, one.folder, within=one.within)
    state = told["state"]  # of params.yaml in it is known what each stage reads
    files = {path: text for path, text in state["files"].items() if path != str(PARAMS_FILE)}
    base = tokenize(place.run_id, told["commit"], state["entry"], files)
    return tasks.submit(place, one.pending, base=base, within=one.within)


def _by_experiment(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, result in given.items():
        groups[name.rpartition("/")[0] + "/"][name] = result
    return groups


@contextmanager
def _opened(repo: Repo, entry: QueueEntry) -> Iterator[Experiment]:
    """The folder that DVC 3.67's own queue would make for `entry`, which stays queued."""
    known = repo.experiments.celery_queue.stash.stash_revs[entry.stash_rev]
    executor = TempDirExecutor.from_stash_entry(repo, known)
    try:
        executor.init_git(repo, repo.scm, entry.stash_rev, known, None, branch=known.branch)
        executor.init_cache(repo, entry.stash_rev)
        folder = Path(executor.root_dir)
        args, options = BaseExecutor.unpack_repro_args(folder / ARGUMENTS)
        if unusual := [key for key, value in options.items() if value and key not in USUAL]:
            raise PipelineError(
                f"experiment {entry.name}: expected it to be queued with stages, -S and -n alone, "
                f"found {', '.join(unusual)}; `dvc queue remove {entry.name}`"
            )
        with Repo(str(folder)) as own, own.config.edit("local") as config:
            config["cache"]["type"] = "symlink"  # lest each folder have the data once more
        with Repo(str(folder)) as own:
            own.checkout(force=True, allow_missing=True)
        targets = options.get("targets") or (args[0] if args else None) or ()
        yield Experiment(entry, executor, order.restored(targets, folder).having(*PENDING))
    finally:
        executor.cleanup()


def _save(repo: Repo, made: Experiment) -> None:
    """Have DVC find that nothing is left to run, and save what is there as its queue does."""
    infofile = made.executor.root_dir + BaseExecutor.INFOFILE_EXT
    made.executor.info.dump_json(infofile)
    try:
        command = [*DVC, "exp", "exec-run", "--quiet", "--infofile", infofile]
        if here.children.run(command):
            raise PipelineError(f"experiment {made.entry.name}: DVC cannot save it; mend that")
        result = ExecutorInfo.load_json(infofile).result
    finally:
        Path(infofile).unlink()
    BaseStashQueue.collect_executor(repo.experiments, made.executor, result)
    repo.experiments.celery_queue.remove([made.entry.name])
    print(f"{made.entry.name}  saved as an experiment", flush=True)
