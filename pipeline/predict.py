"""Which of the ten classes is in a photo: `python -m pipeline.predict photo.jpg`.

From Python, in the project's top folder:

    from pipeline import predict

    answer = predict.photos(["photo.jpg"])  # by the best variant, or variant="final"
    print(answer.variant, answer.predictions[0].top(3))  # best [('horse', 0.883), ...]

`--json` prints one object: `variant`, `test_accuracy` (null when it was never evaluated) and
`predictions`, one for each image in the order given, with `image` (its name as given) and `top`,
the likeliest classes first, each with `class` and `probability`.

One bad image among several: each bad one is named, nothing is classified, drawn or printed.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline import answer, config, image_files, measured, runtime, trained
from pipeline.cifar10 import CLASSES
from pipeline.errors import PipelineError


def photos(names: Sequence[str], *, variant: str | None = None) -> answer.Answer:
    """Classify the image files `names` by `variant`, or by the best of the models present.

    `-` is standard input. The work is done in batches of `runtime.inference_batch_size`. Raises
    PipelineError when a model, its metrics or an image is missing or damaged; images and names
    are checked before TensorFlow is imported, which takes seconds.
    """
    params = config.read()
    settings = config.section(params, "runtime", runtime.Runtime)
    variants = params.get("variants")
    variant = choose(variant, known=list(variants) if isinstance(variants, dict) else [])
    accuracy = measured.test_accuracy(variant)
    images = image_files.load(names)
    runtime.start(settings)
    model = trained.load(variant)
    probabilities = trained.probabilities(
        model,
        images,
        batch_size=settings.inference_batch_size,
        variant=variant,
        seen=trained.seen_from(params, model),
    )
    rows = zip(names, images, probabilities, strict=True)
    return answer.Answer(variant, accuracy, [answer.Prediction(*row) for row in rows])


def choose(variant: str | None, *, known: Sequence[str]) -> str:
    """`variant` if its model is there; for None, of the models there, the most accurate in test.

    `known` are the variants of params.yaml. Raises PipelineError, saying how to get a model.
    """
    present = sorted(path.stem for path in trained.path("*").parent.glob(trained.path("*").name))
    if variant is None:  # a model left over from a variant that is gone may only be named
        variant = _best([name for name in present if name in known], known)
    names = sorted({*known, *present})
    if variant not in names:
        raise PipelineError(
            f"--variant: expected one of {', '.join(names)}, found '{variant}'"
            f"{config.nearest(variant, names)}"
        )
    if variant not in present:
        raise PipelineError(
            f"{trained.path(variant)}: expected a trained model, found no such file; "
            f"run `dvc pull {trained.path(variant)}` or `dvc repro train@{variant}`"
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


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.predict", description="Say which CIFAR-10 class is in a photo."
    )
    parser.add_argument("images", nargs="+", help="image files; - is standard input")
    parser.add_argument("--variant", help="the model to ask; without it, the best on the test set")
    parser.add_argument(
        "--top", type=int, default=3, help="how many classes to name (default: %(default)s)"
    )
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw images and probabilities")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_intermixed_args(arguments)  # images may stand after the options, too


def _check(options: argparse.Namespace) -> None:
    """PipelineError for what would fail after seconds, or overwrite one of the photos."""
    if not 1 <= options.top <= len(CLASSES):
        raise PipelineError(f"--top: expected 1 to {len(CLASSES)}, found {options.top}")
    plot: Path | None = options.plot
    if plot is None:
        return
    if plot.suffix.lower() != ".png" or plot.is_dir():
        raise PipelineError(f"--plot: expected the name of a .png file, found {plot}")
    if any(plot.resolve() == Path(name).resolve() for name in options.images):
        raise PipelineError(f"--plot: {plot} is one of the images; name another file")
    if len(options.images) > answer.DRAWN_IMAGES:
        raise PipelineError(
            f"--plot: expected at most {answer.DRAWN_IMAGES} images, found {len(options.images)}; "
            "draw fewer at a time"
        )


def main(arguments: list[str]) -> None:
    """Classify the images that `arguments` name, draw them if asked to, print the answer."""
    options = _parse(arguments)
    _check(options)
    found = photos(options.images, variant=options.variant)
    if options.plot:
        answer.draw(found, options.plot, top=options.top)
    tell = answer.as_json if options.json else answer.as_text
    print(tell(found, top=options.top))


if __name__ == "__main__":
    # A file name that the terminal's encoding lacks must not end in a traceback.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        main(sys.argv[1:])
    except PipelineError as error:
        sys.exit(f"predict: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # the shell's status for Ctrl-C
    except BrokenPipeError:  # whoever read the answer, `head` say, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
