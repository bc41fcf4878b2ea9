"""Whether a variant trained again is the committed one, and what is said of it: no files here."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.report import history
from pipeline.report.metrics import Metrics

# Rounding otherwise leads a training to other weights, about as good: docs/reproducibility.md says
# how far off, and how far a run moves from one epoch to the next. Another recipe is further off:
# `sgd` is 0.16 and 40 % from `adam`.
ACCURACY_TOLERANCE = 0.04
LOSS_TOLERANCE = 0.2  # of the committed loss
TOLERANCES = f"accuracy within {ACCURACY_TOLERANCE}, loss within {LOSS_TOLERANCE:.0%}"
IN_FULL = "in full"


class Level(enum.StrEnum):
    """How far a variant trained again agrees with the committed one."""

    SAME_BYTES = "same bytes"
    SAME_HISTORY = "same history"
    SAME_RESULTS = f"same results (other bytes; {TOLERANCES})"
    DIFFERENT = "different results"


@dataclass(frozen=True)
class Comparison:
    """All that was compared of `variant`, to the `extent` of IN_FULL or of some epochs.

    `same` says of each file, and of a history, whether it has the committed bytes; `figures` are
    accuracies and losses by name, as committed and as here.
    """

    variant: str
    extent: str
    same: Mapping[str, bool]
    figures: Mapping[str, tuple[float, float]]

    @property
    def level(self) -> Level:
        """The best level that all of it reaches; figures count only where bytes differ."""
        if all(self.same.values()):
            return Level.SAME_BYTES if self.extent == IN_FULL else Level.SAME_HISTORY
        near = all(within(name, *values) for name, values in self.figures.items())
        return Level.SAME_RESULTS if near else Level.DIFFERENT


def within(name: str, committed: float, here: float) -> bool:
    """Whether two accuracies or losses are as near as those of runs that only round otherwise."""
    tolerance = LOSS_TOLERANCE * committed if "loss" in name else ACCURACY_TOLERANCE
    return abs(here - committed) <= tolerance


def finished(variant: str, same: Mapping[str, bool], then: Metrics, now: Metrics) -> Comparison:
    """The comparison of a training that ended by itself and was evaluated."""
    accuracies, losses = (then.accuracy, now.accuracy), (then.loss, now.loss)
    return Comparison(variant, IN_FULL, same, {"test accuracy": accuracies, "test loss": losses})


def stopped(variant: str, same: Mapping[str, bool], then: list[str], now: list[str]) -> Comparison:
    """The comparison of a training that was stopped, by the epochs that both histories have.

    The histories are rows of CSV without the header, at least one each. Where one of them has no
    figures of validation, those of training are compared.
    """
    epochs = min(len(then), len(now))
    equal = next((n for n in range(epochs) if then[n] != now[n]), epochs)
    rows = {f"history of {epochs} epochs, the same for {equal}": equal == epochs}
    last = (table[epochs - 1].split(",") for table in (then, now))
    one, other = (dict(zip(history.COLUMNS, cells, strict=True)) for cells in last)
    validated = one["val_loss"] and other["val_loss"]
    kind, prefix = ("validation", "val_") if validated else ("training", "")
    figures = {
        f"{kind} {name} in epoch {epochs}": (float(one[prefix + name]), float(other[prefix + name]))
        for name in ("accuracy", "loss")
    }
    extent = f"for the first {epochs} of {len(then)} epochs"
    return Comparison(variant, extent, {**same, **rows}, figures)


def report(comparison: Comparison) -> str:
    """A line for each thing compared."""
    lines = [f"{comparison.variant}, compared with the commit:"]
    lines += [f"{'same' if ok else 'differs':<8} {path}" for path, ok in comparison.same.items()]
    for name, (committed, here) in comparison.figures.items():
        word = "within" if within(name, committed, here) else "beyond"
        lines.append(f"{word:<8} {name}: {committed:.4f} committed, {here:.4f} here")
    return "\n  ".join(lines)


def verdict(comparisons: Sequence[Comparison]) -> str:
    """The answer to "do I get the committed results?", one clause for each variant."""
    different = any(comparison.level is Level.DIFFERENT for comparison in comparisons)
    clauses = [f"{one.variant}: {one.level} {one.extent}" for one in comparisons]
    return f"you {'do not ' if different else ''}get the committed results: {'; '.join(clauses)}"
