"""What `dvc repro` would do with each stage, worked out beforehand and without changing anything.

Follows Stage.reproduce, Stage.run and StageCache.restore of DVC 3.67 step by step, on DVC's own
objects. No lock is taken, so a plan can be asked for while a training runs.
"""

import dataclasses
import enum
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import chdir, suppress
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage import Stage

from pipeline import dvc_project, environment, plan_cache, plan_reasons


class Status(enum.StrEnum):
    """What `dvc repro` would do with a stage."""

    WILL_RUN = "will run"
    RESTORED = "restored without a run"
    MAY_FOLLOW = "may follow"
    UP_TO_DATE = "up to date"


@dataclasses.dataclass(frozen=True)
class StagePlan:
    """One stage: its fate and the reasons in the user's terms.

    `source` says where the outputs of a restored stage come from; `seconds` is the duration of
    the stage's last run, if that is known; `after` names the stages that it depends on directly.
    """

    stage: str
    status: Status
    reasons: tuple[str, ...]
    source: str | None
    seconds: float | None
    after: tuple[str, ...]


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

    def seconds(self, *statuses: Status) -> float:
        """The last durations of the stages with these statuses, added; unknown ones count 0."""
        return sum(stage.seconds or 0.0 for stage in self.having(*statuses))


@dataclasses.dataclass(frozen=True)
class Made:
    """An output that an earlier stage makes anew; only a restored one's hash is known by now."""

    stage: str
    output: Output | None


def make(targets: Iterable[str] = (), *, root: Path = Path()) -> Plan:
    """The plan of `dvc repro TARGETS` in the project at `root`; no targets: the whole pipeline.

    Raises PipelineError when DVC cannot read the pipeline or knows no such target.
    """
    try:
        with chdir(root), Repo() as repo:  # DVC looks for targets in the current folder
            graph = get_active_graph(repo.index.graph)
            made: dict[str, Made] = {}
            plans = []
            for stage in plan_repro(graph, collect_stages(repo, list(targets) or ["dvc.yaml"])):
                status, reasons, restored = _judge(stage, made)
                made |= _made(stage, status, restored)
                plans.append(
                    StagePlan(
                        stage=stage.addressing,
                        status=status,
                        reasons=reasons,
                        source=restored.source if restored else None,
                        seconds=_last_seconds(environment.path(stage.addressing)),
                        after=tuple(sorted(before.addressing for before in graph[stage])),
                    )
                )
    except DvcException as error:
        raise dvc_project.unreadable(error) from error
    return Plan(tuple(plans))


def _judge(
    stage: Stage, made: Mapping[str, Made]
) -> tuple[Status, tuple[str, ...], plan_cache.Restored | None]:
    """The fate of `stage`, the reasons, and what would be restored, given what is `made` before.

    `made` has the outputs by absolute path. An early cut-off makes every stage behind a run
    uncertain: the run may leave the same bytes.
    """
    anew = {dep.fs_path: known for dep in stage.deps if (known := _made_for(dep.fs_path, made))}
    hashes = {path: known.output for path, known in anew.items()}
    uncertain = any(output is None for output in hashes.values())
    inputs = plan_reasons.inputs(stage, hashes)
    reasons = (*inputs, *plan_reasons.outputs(stage))
    if not reasons and not uncertain:
        return Status.UP_TO_DATE, (), None
    restored = plan_cache.find(stage, hashes, inputs_changed=bool(inputs)) if reasons else None
    if not inputs and not restored and (remote := plan_cache.remote_with(stage)):
        reasons = (*reasons, f"`dvc pull` would bring it from remote {remote} without a run")
    if uncertain and (restored or not reasons):
        behind = sorted({known.stage for known in anew.values() if known.output is None})
        return Status.MAY_FOLLOW, (*reasons, f"after {', '.join(behind)}"), None
    return Status.RESTORED if restored else Status.WILL_RUN, reasons, restored


def _made_for(path: str, made: Mapping[str, Made]) -> Made | None:
    """What an earlier stage makes anew at `path`, or in it, or around it; None when nothing."""
    if path in made:
        return made[path]
    for other, known in made.items():
        if other.startswith(path + os.sep) or path.startswith(other + os.sep):
            return dataclasses.replace(known, output=None)  # the hash of a part is not known
    return None


def _made(stage: Stage, status: Status, restored: plan_cache.Restored | None) -> dict[str, Made]:
    if status is Status.UP_TO_DATE:
        return {}
    if restored:
        return {output.fs_path: Made(stage.addressing, output) for output in restored.outputs}
    return {output.fs_path: Made(stage.addressing, None) for output in stage.outs}


def _last_seconds(path: Path) -> float | None:
    """The duration that the last run left in `path`; None when it left none that can be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return float(json.loads(path.read_text(encoding="utf-8"))["seconds"])
    return None
