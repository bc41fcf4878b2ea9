"""Which of the ten classes is in a photo. From Python, in the project's top folder:

from pipeline.predict import classify

answer = classify.photos(["photo.jpg"])  # by the best variant, or variant="final"
print(answer.variant, answer.predictions[0].top(3))  # best [('horse', 0.884), ...]
"""

from collections.abc import Sequence

from pipeline import runtime
from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.base.mistakes import nearest
from pipeline.evaluate import scores, trained
from pipeline.predict import answer, carried, image_files, measured
from pipeline.report import places


def photos(names: Sequence[str], *, variant: str | None = None) -> answer.Answer:
    """Classify the image files `names` by `variant`, or by the best of the models present.

    Where none is, as in a fresh clone, by the one in reports/index.html. `-` is standard input.
    The work is done in batches of `runtime.inference_batch_size`. Raises PipelineError when a
    model, its metrics or an image is missing or damaged; images and names are checked before
    TensorFlow is imported, which takes seconds.
    """
    params = params_file.read()
    settings = params_file.section(params, "runtime", runtime.Runtime)
    variants = params.get("variants")
    known = list(variants) if isinstance(variants, dict) else []
    in_page = _in_page(variant, known)
    accuracy: float | None
    if in_page:
        variant, accuracy, file = in_page.variant, in_page.accuracy, carried.PAGE
    else:
        variant = choose(variant, known=known)
        accuracy, file = measured.test_accuracy(variant), places.model(variant)
    images = image_files.load(names)
    runtime.start(settings.cpu_isa)
    model = carried.model(in_page) if in_page else trained.load(variant)
    logits = trained.logits(
        model,
        images,
        batch_size=settings.inference_batch_size,
        variant=variant,
        seen=trained.seen_from(params, model),
    )
    rows = zip(names, images, scores.softmax(logits), strict=True)
    predictions = [answer.Prediction(*row) for row in rows]
    return answer.Answer(variant, accuracy, file.as_posix(), predictions)


def _present() -> list[str]:
    """The variants, known or not, that have a model here."""
    return sorted(path.stem for path in places.model("*").parent.glob(places.model("*").name))


def _in_page(variant: str | None, known: Sequence[str]) -> carried.Carried | None:
    """The network that the page carries, where it is asked for, or none, and none is trained."""
    if set(_present()) & set(known if variant is None else [variant]):
        return None
    found = carried.read()
    return found if found and variant in (None, found.variant) else None


def choose(variant: str | None, *, known: Sequence[str]) -> str:
    """`variant` if its model is there; for None, of the models there, the most accurate in test.

    `known` are the variants of params.yaml. Raises PipelineError, saying how to get a model.
    """
    present = _present()
    if variant is None:  # a model left over from a variant that is gone may only be named
        variant = _best([name for name in present if name in known], known)
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


def _best(present: Sequence[str], known: Sequence[str]) -> str:
    """The most accurate of the models present; if none is, of the known ones: the one to get."""
    found = {name: measured.test_accuracy(name) for name in present or known}
    accuracies = {name: value for name, value in found.items() if value is not None}
    if accuracies:
        return max(accuracies, key=accuracies.__getitem__)
    if present:
        raise PipelineError(
            f"reports: expected the metrics of {' or '.join(present)}, found none that belong to "
            f"these models; run `dvc repro evaluate@{present[0]}`, or name one with --variant"
        )
    raise PipelineError("models: expected a trained model, found none; run `dvc repro`")
