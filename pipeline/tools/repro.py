"""`dvc repro` stage by stage, with the time left: `python -m pipeline.tools.repro`.

Evaluations and short trainings come first, and after each evaluation the comparison and the page
show the variants that have ended. Without --seeds the stages of further seeds are left out.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

import pandas as pd

from pipeline.comparison.seeds import further_seeds
from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.core.params import lookup, read_params
from pipeline.evaluation.metrics import read_metrics
from pipeline.tools import environment
from pipeline.tools.plan import PlannedStage, duration, plan_stages, variant_of

STAGE = (sys.executable, "-m", "pipeline")
DVC = (sys.executable, "-m", "dvc", "repro", "--quiet", "--single-item")


class Clock:
    """The time left: the recorded seconds of stages, scaled by what others have taken."""

    def __init__(self, stages: Sequence[PlannedStage]) -> None:
        self._left = {stage.name: stage.seconds or 0.0 for stage in stages}
        self._recorded = self._measured = 0.0

    def seconds(self, *stages: str) -> float:
        """Of `stages`, without any of all that are left; 0 for those without a record."""
        pace = self._measured / self._recorded if self._recorded else 1.0
        return pace * sum(self._left[name] for name in stages or self._left)

    def end(self, stage: str, seconds: float) -> None:
        """`stage` has ended after so many `seconds`, 0 if it did not run."""
        recorded = self._left.pop(stage)
        if recorded and seconds:
            self._recorded += recorded
            self._measured += seconds


def run_stages(stages: Sequence[PlannedStage], variants: Sequence[str]) -> dict[str, float]:
    """Run `stages`; the seconds of those that ran. `variants` are all that compare shows.

    Raises CalledProcessError when one fails.
    """
    clock, seconds, pending = Clock(stages), {}, {stage.name: stage for stage in stages}
    while pending:
        ready = [stage for stage in pending.values() if pending.keys().isdisjoint(stage.upstream)]
        stage = min(ready, key=lambda s: (s.name.startswith("train@"), s.seconds or float("inf")))
        about = duration(clock.seconds(stage.name) or None)
        number = len(stages) - len(pending) + 1
        left = duration(clock.seconds())
        print(f"[{number}/{len(stages)}] {stage.name}, about {about}; {left} left", flush=True)
        if stage.name == "compare":
            drop_stale_seeds()
        before = environment.recorded(stage.name)
        subprocess.run([*DVC, stage.name], check=True)
        record = environment.recorded(stage.name)
        seconds[stage.name] = record["seconds"] if record != before else 0.0
        clock.end(stage.name, seconds[stage.name])
        del pending[stage.name]
        if stage.name.startswith("evaluate@") and any(s.startswith("train@") for s in pending):
            unfinished = set(map(variant_of, pending))
            ended = [name for name in variants if name not in unfinished]
            for command in ("compare", "page"):
                subprocess.run([*STAGE, command, *ended], check=True)
    return seconds


def drop_stale_seeds() -> None:
    """Delete results of further seeds that are of other settings, code or data.

    They would be averaged with those of the first seed; git has them.
    """
    seeds = set(further_seeds(lookup(read_params(), "variants")))
    stages = plan_stages([f"evaluate@{name}" for name in sorted(seeds)]) if seeds else []
    for name in sorted({variant_of(s.name) for s in stages if s.has_new_inputs} & seeds):
        if (results := paths.RESULTS / name).exists():
            shutil.rmtree(results)
            print(f"{name}: deleted results of other settings, code or data; `make seeds`")


def summary(seconds: Mapping[str, float], recorded: Mapping[str, float | None]) -> str:
    """The trained variants: accuracy, seconds of this training and of the recorded one before."""
    trained = [variant_of(name) for name in seconds if name.startswith("train@")]
    rows = {
        name: {
            "test accuracy": f"{read_metrics(name).accuracy:.4f}",
            "time": duration(seconds[f"train@{name}"]),
            "recorded": duration(recorded[f"train@{name}"]),
        }
        for name in trained
    }
    return pd.DataFrame.from_dict(rows, orient="index").to_string() if rows else ""


def main(arguments: Sequence[str]) -> None:
    """Run what is missing or has changed."""
    variants = lookup(read_params(), "variants")
    left_out = () if arguments == ["--seeds"] else further_seeds(variants)
    stages = plan_stages(left_out=left_out)
    shown = [name for name in variants if name not in left_out]
    seconds = run_stages(stages, shown)
    if stages:
        print(summary(seconds, {stage.name: stage.seconds for stage in stages}))
    else:
        print("everything is up to date")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except PipelineError as error:
        sys.exit(f"repro: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # the stage or DVC has said why
    except KeyboardInterrupt:
        sys.exit(130)
