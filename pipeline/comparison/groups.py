"""Variants that differ in nothing but their seed: one row of the comparison."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.comparison.results import Result
from pipeline.report import places


@dataclass(frozen=True)
class Group:
    """The results of one or more variants that differ in their seed alone.

    It has the name of the first, which has the lowest seed.
    """

    results: tuple[Result, ...]

    @property
    def name(self) -> str:
        """What tables and figures call it."""
        return self.first.variant

    @property
    def first(self) -> Result:
        """The result that stands for all where a figure can show only one."""
        return self.results[0]

    def mean(self, metric: str) -> float:
        """The mean of one of the metrics over the seeds."""
        return float(np.mean(self._values(metric)))

    def deviation(self, metric: str) -> float:
        """The sample standard deviation of one of the metrics; NaN for a single seed."""
        several = len(self.results) > 1
        return float(np.std(self._values(metric), ddof=1)) if several else float("nan")

    def best_epochs(self) -> list[int]:
        """By seed, the first epoch of the highest validation accuracy; none without validation."""
        histories = [result.history for result in self.results if result.validated]
        return [int(found["epoch"][found["val_accuracy"].idxmax()]) for found in histories]

    def best_val_accuracy(self) -> float:
        """The mean over the seeds of the highest validation accuracy; NaN without validation."""
        return float(np.mean([result.history["val_accuracy"].max() for result in self.results]))

    def _values(self, metric: str) -> list[float]:
        return [_value(result, metric) for result in self.results]


def _value(result: Result, metric: str) -> float:
    """PipelineError when the metrics lack it, as those of before it was added to evaluate."""
    try:
        return float(result.metrics.model_dump()[metric])
    except KeyError:
        raise PipelineError(
            f"{places.metrics(result.variant)}: expected {metric} among the numbers, found none; "
            f"run `dvc repro evaluate@{result.variant}`"
        ) from None


def alike(variants: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """The names of `variants`, those that differ in their seed alone together, by rising seed.

    In the order of the names, as DVC does not see that of params.yaml.
    """
    together: dict[str, list[str]] = {}
    for name in sorted(variants, key=lambda name: (variants[name]["seed"], name)):
        rest = {key: value for key, value in variants[name].items() if key != "seed"}
        together.setdefault(json.dumps(rest, sort_keys=True), []).append(name)
    return sorted(map(tuple, together.values()))


def ranked(groups: Iterable[Group]) -> list[Group]:
    """`groups`, the highest test accuracy first, equal ones in their order."""
    return sorted(groups, key=lambda group: -group.mean("accuracy"))
