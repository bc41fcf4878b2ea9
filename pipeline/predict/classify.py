"""Which of the ten classes is in a photo. From Python, in the project's top folder:

from pipeline.predict import classify

answer = classify.photos(["photo.jpg"])  # by the best variant, or variant="final"
print(answer.variant, answer.predictions[0].top(3))  # best [('horse', 0.999), ...]
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import runtime
from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.base.mistakes import nearest
from pipeline.evaluate import manner, scores, trained
from pipeline.evaluate.settings import Predict
from pipeline.ops import recorded
from pipeline.predict import answer, carried, image_files, litert, measured
from pipeline.report import places


def photos(names: Sequence[str], *, variant: str | None = None) -> answer.Answer:
    """Classify the image files `names` by `variant`, or by the best of the models present.

    Where none is, as in a fresh clone, by the one in reports/index.html. `-` is standard input.
    The work is done in batches of `runtime.inference_batch_size`. Raises PipelineError when a
    model, its metrics or an image is missing or damaged; images and names are checked before a
    network is opened.
    """
    params = params_file.read()
    settings = params_file.section(params, "runtime", runtime.Runtime)
    unlikely = params_file.section(params, "predict", Predict).unlikely
    known = list(params_file.section(params, "variants", dict[str, Any]))
    in_page, runs = _in_page(variant, known), recorded.runs(Path())
    accuracy: float | None
    if in_page:
        variant, accuracy, file = in_page.variant, in_page.accuracy, carried.PAGE
    else:
        variant = choose(variant, known=known, runs=runs)
        accuracy, file = measured.test_accuracy(variant, runs), places.model(variant)
    images = image_files.load(names)
    size = settings.inference_batch_size
    quick = None if in_page or variant not in known else _quick(variant, runs)
    if quick:
        how = manner.read(params, variant, params_file.at(params, f"variants.{variant}.network"))
        logits, file = quick.answers(images, batch_size=size, manner=how), places.litert(variant)
    else:
        runtime.start(settings.cpu_isa)
        model = carried.model(in_page) if in_page else trained.load(variant)
        how = manner.read(params, variant, model.name)
        logits, _ = trained.answers(model, images, batch_size=size, variant=variant, manner=how)
    rows = zip(names, images, scores.softmax(logits), strict=True)
    predictions = [answer.Prediction(*row, unlikely) for row in rows]
    return answer.Answer(variant, accuracy, file.as_posix(), predictions)


def _quick(variant: str, runs: measured.Runs) -> litert.Network | None:
    """The network of `variant` where evaluate made one for LiteRT that LiteRT can compute."""
    file = measured.litert(variant, runs)
    try:
        return litert.Network(file) if file else None
    except (ValueError, RuntimeError) as error:
        if places.model(variant).exists():
            return None  # Keras can
        reason = " ".join(str(error).split())
        raise PipelineError(
            f"{file}: expected a network that LiteRT can compute, found another ({reason}); get "
            f"Keras's, `dvc pull {places.model(variant)}`, or {litert.REMEDY}"
        ) from error


def _present() -> list[str]:
    """The variants, known or not, that have a model here."""
    patterns = (places.model("*"), places.litert("*"))
    return sorted({file.stem for each in patterns for file in each.parent.glob(each.name)})


def _in_page(variant: str | None, known: Sequence[str]) -> carried.Carried | None:
    """The network that the page carries, where it is asked for, or none, and none is trained."""
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
