"""Whether a variant trained again is the committed one: pure comparisons, no files."""

import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline import history
from pipeline.metrics import Metrics

# Rounding otherwise leads a training to other weights, about as good. With all instructions of an
# AVX-512 processor instead of AVX2, `baseline` came out 0.007 better in test accuracy and 1.1 % in
# test loss; on the way, validation accuracy was up to 0.031 off and validation loss 6.5 %. One
# epoch is off like any other: in the committed runs they move by up to 0.037 and 19 % (`deep`) from
# one epoch to the next, after the fifth. Another recipe is further off: `sgd` is 0.16 and 40 % from
# `adam`.
ACCURACY_TOLERANCE = 0.04
LOSS_TOLERANCE = 0.2  # of the committed loss


class Level(enum.StrEnum):
    """How far a variant trained again agrees with the committed one."""

    SAME_BYTES = "same bytes"
    SAME_RESULTS = "same results"
    DIFFERENT = "different results"


@dataclass(frozen=True)
class Digest:
    """The MD5 of a file, or of the rows of a history, in the commit and here."""

    name: str
    committed: str
    here: str

    @property
    def same(self) -> bool:
        """Whether the two are equal byte for byte."""
        return self.committed == self.here


@dataclass(frozen=True)
class Figure:
    """A figure of merit in the commit and here, and how far apart the two may be."""

    name: str
    committed: float
    here: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether the two are as near as runs that differ in their arithmetic alone."""
        return abs(self.here - self.committed) <= self.tolerance


@dataclass(frozen=True)
class Comparison:
    """All that was compared of `variant`: the whole of it, or its first `epochs` epochs.

    A training that was `stopped` has a history of `epochs` of the `of_epochs` committed ones, but
    no model to compare.
    """

    variant: str
    stopped: bool
    epochs: int
    of_epochs: int
    digests: tuple[Digest, ...]
    figures: tuple[Figure, ...]

    @property
    def level(self) -> Level:
        """The best level that all of it reaches; figures count only where bytes differ."""
        if all(digest.same for digest in self.digests):
            return Level.SAME_BYTES
        if all(figure.within for figure in self.figures):
            return Level.SAME_RESULTS
        return Level.DIFFERENT


def digests(committed: Mapping[str, str], here: Mapping[str, str]) -> tuple[Digest, ...]:
    """A Digest for each file of `here`; both map paths to MD5 in hexadecimal digits."""
    return tuple(Digest(path, committed[path], digest) for path, digest in here.items())


def finished(
    variant: str, digests: tuple[Digest, ...], committed: Metrics, here: Metrics, epochs: int
) -> Comparison:
    """The comparison of a training that ended by itself after `epochs`, and was evaluated."""
    figures = (
        _accuracy("test accuracy", committed.accuracy, here.accuracy),
        _loss("test loss", committed.loss, here.loss),
    )
    return Comparison(variant, False, epochs, epochs, digests, figures)


def stopped(
    variant: str, digests: tuple[Digest, ...], committed: Sequence[str], here: Sequence[str]
) -> Comparison:
    """The comparison of a training that was stopped, by the epochs that both histories have.

    The histories are rows of CSV without the header, at least one each. Where one of them has no
    figures of validation, those of training are compared.
    """
    epochs = min(len(committed), len(here))
    equal = next((n for n in range(epochs) if committed[n] != here[n]), epochs)
    name = f"history, epochs 1 to {epochs}"
    if equal < epochs:
        name += f" (other from {equal + 1} on)"
    rows = Digest(name, _md5(committed[:epochs]), _md5(here[:epochs]))
    one, other = _figures(committed[epochs - 1]), _figures(here[epochs - 1])
    kind, prefix = ("validation", "val_") if "val_loss" in one.keys() & other else ("training", "")
    accuracy, loss = f"{prefix}accuracy", f"{prefix}loss"
    figures = (
        _accuracy(f"{kind} accuracy in epoch {epochs}", one[accuracy], other[accuracy]),
        _loss(f"{kind} loss in epoch {epochs}", one[loss], other[loss]),
    )
    return Comparison(variant, True, epochs, len(committed), (*digests, rows), figures)


def _figures(row: str) -> dict[str, float]:
    """The cells of a row of a history by their columns, less the blank ones."""
    cells = zip(history.COLUMNS, row.split(","), strict=True)
    return {name: float(cell) for name, cell in cells if cell}


def _accuracy(name: str, committed: float, here: float) -> Figure:
    return Figure(name, committed, here, ACCURACY_TOLERANCE)


def _loss(name: str, committed: float, here: float) -> Figure:
    return Figure(name, committed, here, LOSS_TOLERANCE * committed)


def _md5(rows: Sequence[str]) -> str:
    return hashlib.md5("\n".join(rows).encode(), usedforsecurity=False).hexdigest()
