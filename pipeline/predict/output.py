"""Predictions as text and as JSON."""

import json
from collections.abc import Sequence

from pipeline.datasets.image_loading import printable
from pipeline.predict.predictor import Prediction, Predictor


def format_text(predictor: Predictor, names: Sequence[str], predictions: list[Prediction]) -> str:
    """A line for each image, the likeliest class first, then a line on the model."""
    lines = []
    for name, prediction in zip(names, predictions, strict=True):
        classes = ", ".join(f"{printable(label)} {share:.1%}" for label, share in prediction.top)
        note = "" if prediction.is_likely else " (no class looks likely)"
        lines.append(f"{classes}{note}  {printable(name)}")
    accuracy = predictor.test_accuracy
    measured = "not evaluated" if accuracy is None else f"test accuracy {accuracy:.1%}"
    lines.append(f"by {predictor.path}, {measured}")
    return "\n".join(lines)


def format_json(predictor: Predictor, names: Sequence[str], predictions: list[Prediction]) -> str:
    """One object, as docs/predict.md describes it; probabilities to 6 decimals."""
    content = {
        "variant": predictor.variant,
        "test_accuracy": predictor.test_accuracy,
        "model": predictor.path.as_posix(),
        "predictions": [
            {
                "image": name,
                "likely": prediction.is_likely,
                "top": [
                    {"class": label, "probability": round(probability, 6)}
                    for label, probability in prediction.top
                ],
            }
            for name, prediction in zip(names, predictions, strict=True)
        ],
    }
    return json.dumps(content, indent=2)
