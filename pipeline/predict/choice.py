"""Which variant is asked: the one that is named, else the best of those that are here."""

from collections.abc import Sequence

from pipeline.base.errors import PipelineError
from pipeline.base.mistakes import nearest
from pipeline.predict import carried, measured
from pipeline.report import places


def in_page(variant: str | None, known: Sequence[str]) -> carried.Carried | None:
    """The network that the page carries, where it is asked for, or none, and none is trained.

    `known` are the variants of params.yaml.
    """
    if set(_present()) & set(known if variant is None else [variant]):
        return None
    found = carried.read()
    return found if found and variant in (None, found.variant) else None


def choose(variant: str | None, *, known: Sequence[str], runs: measured.Runs) -> str:
    """`variant` if its model is there; for None, of the models there, the most accurate in test.

    `known` are the variants of params.yaml. Raises PipelineError, saying how to get a model.
    """
    present = _present()
    if variant is None:  # a model left over from a variant that is gone may only be named
        variant = _best([name for name in present if name in known], known, runs)
    names = sorted({*known, *present})
    if variant not in names:
        raise PipelineError(
            f"--variant: expected one of {', '.join(names)}, found '{variant}'"
            f"{nearest(variant, names)}"
        )
    if variant not in present:
        raise PipelineError(
            f"{places.model(variant)}: expected a trained model, found no such file; "
            f"run `dvc pull {places.model(variant)}` or `dvc repro train@{variant}`"
        )
    return variant


def _present() -> list[str]:
    """The variants, known or not, that have a model here."""
    patterns = (places.model("*"), places.litert("*"))
    return sorted({file.stem for each in patterns for file in each.parent.glob(each.name)})


def _best(present: Sequence[str], known: Sequence[str], runs: measured.Runs) -> str:
    """The most accurate of the models present; if none is, of the known ones: the one to get."""
    found = {name: measured.test_accuracy(name, runs) for name in present or known}
    accuracies = {name: value for name, value in found.items() if value is not None}
    if accuracies:
        return max(accuracies, key=accuracies.__getitem__)
    if present:
        raise PipelineError(
            f"reports: expected the metrics of {' or '.join(present)}, found none that belong to "
            f"these models; run `dvc repro evaluate@{present[0]}`, or name one with --variant"
        )
    raise PipelineError("models: expected a trained model, found none; run `dvc repro`")
