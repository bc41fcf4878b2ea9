"""Which class of the data set is in a photo: `python -m pipeline.predict photo.jpg`.

`--json` prints one object: `variant`, `test_accuracy` (null when it was never evaluated), `model`
(the file that the network came from) and `predictions`, one for each image in the order given, with
`image` (its name as given), `likely` (whether any class is) and `top`, the likeliest classes first,
each with `class` and `probability`.

One bad image among several: each bad one is named, nothing is classified, drawn or printed.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.tools import activation

try:
    from pipeline.base.errors import PipelineError
    from pipeline.predict import answer, classify
except ModuleNotFoundError as error:
    sys.exit(f"predict: {error}: {activation.REMEDY}")

NAMED = 3  # classes, unless told otherwise
OPTIONS: dict[str, dict[str, Any]] = {
    "--variant": {"help": "the model to ask; without it, the best on the test set"},
    "--top": {"type": int, "help": f"how many classes to name (default: {NAMED}, if so many)"},
    "--plot": {"type": Path, "metavar": "PNG", "help": "draw images and probabilities"},
    "--json": {"action": "store_true", "help": "print one JSON object"},
}
TAKING_A_VALUE = ("--variant", "--top", "--plot")
HELP = ("-h", "--help")
SHIELD = "\0"  # no argument of a program can hold it


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.predict",
        description="Say which of the classes that a model knows is in a photo.",
    )
    parser.add_argument(
        "images",
        nargs="+",
        type=lambda name: name.removeprefix(SHIELD),
        help="image files; - is standard input",
    )
    for name, details in OPTIONS.items():
        parser.add_argument(name, **details)
    # Images may stand after the options, too.
    return parser.parse_intermixed_args(_shielded(arguments))


def _shielded(arguments: Sequence[str]) -> list[str]:
    """`arguments` with a SHIELD before each image whose name begins with a dash.

    Those are the ones after `--`, which argparse forgets where images and options are mixed, and
    files that a pattern of the shell found.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    shielded = [
        SHIELD + argument if _is_image(argument, behind) else argument
        for behind, argument in zip(("", *arguments), arguments[:end], strict=False)
    ]
    return shielded + [SHIELD + argument for argument in arguments[end + 1 :]]


def _is_image(argument: str, behind: str) -> bool:
    """Whether `argument` is a file that argparse would take for an option, or an option's value."""
    if not argument.startswith("-") or argument == "-" or behind in TAKING_A_VALUE:
        return False
    return argument.partition("=")[0] not in (*OPTIONS, *HELP) and os.path.exists(argument)


def _check(options: argparse.Namespace) -> None:
    """PipelineError for what would fail after seconds, or overwrite one of the photos."""
    plot: Path | None = options.plot
    if plot is None:
        return
    if plot.suffix.lower() != ".png" or os.path.isdir(plot):
        raise PipelineError(f"--plot: expected the name of a .png file, found {plot}")
    if os.path.realpath(plot) in map(os.path.realpath, options.images):
        raise PipelineError(f"--plot: {plot} is one of the images; name another file")
    if len(options.images) > answer.DRAWN_IMAGES:
        raise PipelineError(
            f"--plot: expected at most {answer.DRAWN_IMAGES} images, found {len(options.images)}; "
            "draw fewer at a time"
        )


def _named(wanted: int | None, classes: int) -> int:
    """How many of so many classes to name; PipelineError when there are not as many as `wanted`."""
    if wanted is None:
        return min(NAMED, classes)
    if not 1 <= wanted <= classes:
        raise PipelineError(f"--top: expected 1 to {classes}, found {wanted}")
    return wanted


def main(arguments: Sequence[str]) -> None:
    """Classify the images that `arguments` name, draw them if asked to, print the answer."""
    options = _parse(arguments)
    _check(options)
    # Keras imports matplotlib, which fails by it where it names what is not installed here.
    os.environ.pop("MPLBACKEND", None)
    asked = classify.ready(options.variant)
    top = _named(options.top, len(asked.network.classes))
    found = asked.photos(options.images)
    if options.plot:
        answer.draw(found, options.plot, top=top)
    tell = answer.as_json if options.json else answer.as_text
    _print(tell(found, top=top))


def _print(text: str) -> None:
    """Print `text` at once: what Python keeps back fails at its exit, where nobody catches it."""
    try:
        print(text, flush=True)
    except OSError as error:
        # What could not be written is still kept back.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # whoever read the answer, `head` say, has gone
            raise PipelineError(
                f"cannot write the answer: {error.strerror}; free space, or write it elsewhere"
            ) from error


if __name__ == "__main__":
    if sys.stdout is None:
        sys.exit("predict: expected a place for the answer, found standard output closed; open it")
    if sys.stderr is None:  # closed: whoever tells something there must find a place
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = open(2, "w", encoding="utf-8")  # noqa: SIM115, open to the end
    # A file name that the terminal's encoding lacks must not end in a traceback.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        main(sys.argv[1:])
    except PipelineError as error:
        sys.exit(f"predict: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # the shell's status for Ctrl-C
