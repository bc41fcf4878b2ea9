"""What `dvc repro` would do with each stage, worked out beforehand and without changing anything.

DVC tells what differs from dvc.lock. Judged here is what it does not tell: what follows when an
earlier stage makes its outputs anew. The hashes that are to come are noted on DVC's objects and
nowhere else, and no lock is taken, so a plan can be asked for while a training runs.
"""

import dataclasses
import enum
from collections.abc import Iterable
from contextlib import chdir
from pathlib import Path

from dvc.dependency import ParamsDependency
from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage import Stage
from dvc.stage.loader import StageLoader
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree

from pipeline.tools import dvc_project, environment, plan_reasons


class Status(enum.StrEnum):
    """What `dvc repro` would do with a stage."""

    WILL_RUN = "will run"
    RESTORED = "restored without a run"
    MAY_FOLLOW = "may follow"
    UP_TO_DATE = "up to date"


PENDING = (Status.WILL_RUN, Status.RESTORED, Status.MAY_FOLLOW)


@dataclasses.dataclass(frozen=True)
class StagePlan:
    """One stage: its fate and the reasons in the user's terms.

    `source` says where the outputs of a restored stage come from; `seconds` is the duration of
    the stage's last run, if that is known; `after` names the stages that it depends on directly.
    `inputs` is DVC's hash of its command, its parameters and what it reads, as far as that is
    known beforehand.
    """

    stage: str
    status: Status
    reasons: tuple[str, ...]
    source: str | None
    seconds: float | None
    after: tuple[str, ...]
    inputs: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """All stages, in the order in which `dvc repro` takes them."""

    stages: tuple[StagePlan, ...]

    def having(self, *statuses: Status) -> tuple[StagePlan, ...]:
        """The stages whose status is one of `statuses`."""
        return tuple(stage for stage in self.stages if stage.status in statuses)

    @property
    def runs(self) -> bool:
        """Whether some stage's command would run."""
        return bool(self.having(Status.WILL_RUN))


def make(targets: Iterable[str] = (), *, root: Path = Path()) -> Plan:
    """The plan of `dvc repro TARGETS` in the project at `root`; no targets: the whole pipeline.

    Raises PipelineError when DVC cannot read the pipeline or knows no such target.
    """
    plans: list[StagePlan] = []
    anew: list[Output] = []
    try:
        with chdir(root), Repo() as repo:  # DVC looks for targets in the current folder
            graph = get_active_graph(repo.index.graph)
            for stage in plan_repro(graph, collect_stages(repo, list(targets) or ["dvc.yaml"])):
                if stage.is_data_source:  # by `dvc add`; what is here counts, else what it notes
                    anew += [out for out in stage.outs if not out.exists]
                    continue
                status, reasons, source = _judge(stage, anew)
                anew += [out for out in stage.outs if not out.hash_info or out.workspace_status()]
                name, run = stage.addressing, environment.recorded(stage.addressing) or {}
                behind = [before for before in graph[stage] if not before.is_data_source]
                after = tuple(sorted(before.addressing for before in behind))
                known = plan_reasons.known_inputs(stage)
                plans.append(
                    StagePlan(name, status, reasons, source, run.get("seconds"), after, known)
                )
    except DvcException as error:
        raise dvc_project.unreadable(error) from error
    return Plan(tuple(plans))


def _judge(stage: Stage, anew: Iterable[Output]) -> tuple[Status, tuple[str, ...], str | None]:
    """The fate of `stage`, the reasons and the source, where earlier stages make `anew` first.

    Leaves in its outputs the hashes that they will have, none where these are not known yet. An
    early cut-off makes every stage behind a run uncertain: the run may leave the same bytes.
    """
    for item in (*stage.deps, *stage.outs):
        if not item.hash_info:  # lest DVC take it for one of DVC 2, whose hashes it would store
            item.update_legacy_hash_name(force=True)
    recorded = [dep.hash_info for dep in stage.deps]
    ran = any(recorded) or any(out.hash_info for out in stage.outs)
    waits = {dep.def_path: names for dep in stage.deps if (names := _foresee(dep, anew))}
    inputs, outputs = plan_reasons.changes(stage, recorded, waits) if ran else (["never run"], [])
    reasons = (*inputs, *outputs)
    if not reasons and not waits:
        return Status.UP_TO_DATE, (), None
    found = plan_reasons.restorable(stage, waits, unchanged=not inputs) if reasons else None
    if found and not waits:
        StageLoader.fill_from_lock(stage, found[1])
        return Status.RESTORED, reasons, found[0]
    hint = () if inputs or found else plan_reasons.remote(stage)
    for out in stage.outs:
        out.clear()
    if found or not reasons:
        behind = sorted({name for names in waits.values() for name in names})
        return Status.MAY_FOLLOW, (*reasons, *hint, f"after {', '.join(behind)}"), None
    return Status.WILL_RUN, (*reasons, *hint), None


def _foresee(dep: Output, anew: Iterable[Output]) -> set[str]:
    """Give `dep` the hash that it will have when its stage's turn comes.

    Where that is not known yet, it gets none, and the stages to wait for are returned.
    """
    place = Path(dep.fs_path)
    around = [out for out in anew if place.is_relative_to(out.fs_path)]
    inside = [out for out in anew if Path(out.fs_path).is_relative_to(place)]
    dep.clear()
    if isinstance(dep, ParamsDependency):
        dep.hash_info = HashInfo(dep.hash_name, dep.read_params())
    elif around and around == inside:
        dep.hash_info = around[0].hash_info
    elif not around and all(out.hash_info and not out.hash_info.isdir for out in inside):
        if dep.exists:
            dep.save()  # on this object only
        if inside:
            folder = dep.obj or Tree.from_list([])
            for out in inside:
                folder.add(dep.fs.relparts(out.fs_path, dep.fs_path), out.meta, out.hash_info)
            folder.digest()
            dep.hash_info = folder.hash_info
    return set() if dep.hash_info else {out.stage.addressing for out in (*around, *inside)}
