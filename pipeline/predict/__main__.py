"""Command line of predict: `python -m pipeline.predict photo.jpg`."""

import argparse
import json
import sys
from collections.abc import Sequence

from pipeline.core.errors import WRONG_PYTHON, PipelineError

try:
    from pipeline.datasets.image_loading import printable
    from pipeline.predict.predictor import TOP, Prediction, Predictor, load_predictor
except ModuleNotFoundError as error:
    sys.exit(f"predict: {error}: {WRONG_PYTHON}")


def main(arguments: Sequence[str]) -> None:
    """Classify the images named in `arguments` and print the predictions, all or none."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.predict", description="Classify photos by a trained model."
    )
    parser.add_argument("images", nargs="+", help="image files; - is standard input")
    parser.add_argument("--variant", help="the model (default: the most accurate one)")
    parser.add_argument("--top", type=int, default=TOP, help=f"classes to print (default: {TOP})")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    predictor = load_predictor(variant=options.variant)
    photos = [sys.stdin.buffer if name == "-" else name for name in options.images]
    predictions = predictor.predict(photos, top=options.top)
    format_output = format_json if options.json else format_text
    print(format_output(predictor, options.images, predictions), flush=True)


def format_text(predictor: Predictor, names: Sequence[str], predictions: list[Prediction]) -> str:
    """A line for each image, the likeliest class first, then a line on the model."""
    lines = []
    for name, prediction in zip(names, predictions, strict=True):
        classes = ", ".join(f"{printable(label)} {share:.1%}" for label, share in prediction.top)
        note = "" if prediction.is_likely else " (no class is likely)"
        lines.append(f"{printable(name)}: {classes}{note}")
    accuracy = predictor.test_accuracy
    measured = "not evaluated" if accuracy is None else f"test accuracy {accuracy:.1%}"
    lines.append(f"model: {predictor.path}, {measured}")
    return "\n".join(lines)


def format_json(predictor: Predictor, names: Sequence[str], predictions: list[Prediction]) -> str:
    """One object, as docs/predict.md describes it; probabilities to 6 decimals."""
    rows = []
    for name, prediction in zip(names, predictions, strict=True):
        top = [{"class": label, "probability": round(share, 6)} for label, share in prediction.top]
        rows.append({"image": name, "likely": prediction.is_likely, "top": top})
    content = {
        "variant": predictor.variant,
        "test_accuracy": predictor.test_accuracy,
        "model": predictor.path.as_posix(),
        "predictions": rows,
    }
    return json.dumps(content, indent=2)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except PipelineError as error:
        sys.exit(f"predict: {error}")
