"""Command line of predict: `python -m pipeline.predict photo.jpg`."""

import argparse
import io
import os
import sys
from collections.abc import Sequence

from pipeline.tools import activation

try:
    from pipeline.base.errors import PipelineError
    from pipeline.predict import output
    from pipeline.predict.predictor import TOP, load_predictor
except ModuleNotFoundError as error:
    sys.exit(f"predict: {error}: {activation.REMEDY}")


def main(arguments: Sequence[str]) -> None:
    """Classify the images named in `arguments` and print the predictions, all or none."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.predict",
        description="Name the classes that a trained model sees in photos.",
    )
    parser.add_argument("images", nargs="+", help="image files; - is standard input")
    parser.add_argument("--variant", help="the model (default: the most accurate one available)")
    parser.add_argument("--top", type=int, default=TOP, help=f"classes to name (default: {TOP})")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    predictor = load_predictor(variant=options.variant)
    photos = [sys.stdin.buffer if name == "-" else name for name in options.images]
    predictions = predictor.predict(photos, top=options.top)
    format_output = output.format_json if options.json else output.format_text
    _print(format_output(predictor, options.images, predictions))


def _print(text: str) -> None:
    """Print and flush: an error of the flush at exit could not be caught."""
    try:
        print(text, flush=True)
    except OSError as error:
        # Python flushes the rest of its buffer once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # a reader such as `head` has closed the pipe
            raise PipelineError(f"cannot write the output: {error.strerror}") from error


if __name__ == "__main__":
    # A file name may hold characters that the terminal's encoding lacks.
    if isinstance(sys.stdout, io.TextIOWrapper):  # None where it is closed
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        main(sys.argv[1:])
    except PipelineError as error:
        sys.exit(f"predict: {error}")
