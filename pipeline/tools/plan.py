"""What `dvc repro` would run, and why: `python -m pipeline.tools.plan`.

DVC's status says what differs from dvc.lock. The graph adds the stages downstream: whether they run
depends on the bytes that the stages before them will write. Takes no lock, so it works during a
training.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from dvc.dvcfile import PROJECT_FILE
from dvc.output import Output
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.stage import Stage

from pipeline.comparison.seeds import further_seeds
from pipeline.core.params import lookup, read_params
from pipeline.tools import environment, processes, repository

# DVC still restores a stage that "will run" where its run cache has a run with these inputs.
Status: TypeAlias = Literal["will run", "may be restored", "may follow"]


class PlannedStage(NamedTuple):
    """A stage that `dvc repro` runs or may run, and why."""

    name: str
    upstream: tuple[str, ...]  # names of the planned stages directly before it
    reasons: tuple[str, ...]
    seconds: float | None  # of its last recorded run
    status: Status = "will run"
    has_new_inputs: bool = True  # otherwise only outputs are missing or changed


def plan_stages(targets: Sequence[str] = (), left_out: Collection[str] = ()) -> list[PlannedStage]:
    """The stages that `dvc repro TARGETS` runs, restores or may run, in its order.

    Without those of the variants `left_out`, data tracked by `dvc add` and frozen stages, which DVC
    does not run. Raises PipelineError when DVC cannot read the project or knows no such target.
    """
    planned: dict[Stage, PlannedStage] = {}
    with repository.opened(lock=False) as repo:
        graph = get_active_graph(repo.index.graph)
        for stage in plan_repro(graph, collect_stages(repo, targets or [PROJECT_FILE])):
            is_left_out = environment.variant_of(stage.addressing) in left_out
            if stage.cmd and not stage.frozen and not is_left_out:
                upstream = [before for before in graph[stage] if before in planned]
                if plan := _planned(stage, upstream):
                    planned[stage] = plan
    return list(planned.values())


def _planned(stage: Stage, pending: Collection[Stage]) -> PlannedStage | None:
    """The plan of `stage` behind the planned stages `pending`; None when it is up to date."""
    name, upstream = stage.addressing, tuple(sorted(before.addressing for before in pending))
    seconds = environment.read_record(environment.path(name)).get("seconds")
    if not any(item.hash_info for item in (*stage.deps, *stage.outs)):
        return PlannedStage(name, upstream, ("new stage",), seconds)
    inputs = list(_changed_inputs(stage, [out for before in pending for out in before.outs]))
    outputs = [item for out in stage.outs for item in out.status().items()]
    reasons = [*inputs, *(f"{path} {state}" for path, state in outputs)]
    if inputs or any(state == "not in cache" for _, state in outputs):
        status: Status = "will run"
    elif upstream:
        status = "may follow"
        reasons.append(f"after {upstream[0]}{', ...' if upstream[1:] else ''}")
    elif outputs:
        status = "may be restored"
    else:
        return None
    return PlannedStage(name, upstream, tuple(reasons), seconds, status, bool(inputs))


def _changed_inputs(stage: Stage, pending: Iterable[Output]) -> Iterator[str]:
    """What differs from dvc.lock, apart from the `pending` outputs of earlier stages."""
    if stage.changed_stage():
        yield "command changed"
    if stage.is_callback or stage.always_changed:
        yield "runs every time"
    for dep in stage.deps:
        if not any(overlap(Path(dep.fs_path), Path(out.fs_path)) for out in pending):
            for path, state in dep.status().items():  # of parameters a state by key
                states = state if isinstance(state, dict) else {path: state}
                yield from (f"{name} {change}" for name, change in states.items())


def overlap(one: Path, other: Path) -> bool:
    """Whether one path is the other or a folder that holds it."""
    return one.is_relative_to(other) or other.is_relative_to(one)


def duration(seconds: float | None) -> str:
    """`seconds` as `8 s` or `14 min 2 s`; None is `unknown`."""
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def main() -> None:
    """Print a line per stage, without those of further seeds."""
    stages = plan_stages(left_out=further_seeds(lookup(read_params(), "variants")))
    width = max((len(stage.name) for stage in stages), default=0)
    for stage in stages:
        reasons = "; ".join(stage.reasons)
        print(f"{stage.status:<15} {stage.name:<{width}} {duration(stage.seconds):>12}  {reasons}")
    total = duration(sum(stage.seconds or 0 for stage in stages))
    print(f"last time all of them took {total}" if stages else "nothing would run")


if __name__ == "__main__":
    processes.run_command(main)
