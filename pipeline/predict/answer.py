"""What a variant says to some photos, and how it is told: as text, as JSON, as a figure."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.image_loading import printable
from pipeline.predict import carried

DOUBT = "none of these looks likely"
DRAWN_IMAGES = 60  # at most in one figure, which takes 4 s for them


@dataclass(frozen=True)
class Prediction:
    """One image as the network saw it, float32 (S, S, 3), and the probabilities (K,) of `classes`.

    Below the probability `unlikely` no class is likely.
    """

    name: str
    image: np.ndarray
    probabilities: np.ndarray
    classes: tuple[str, ...]
    unlikely: float

    @property
    def likely(self) -> bool:
        """Whether any class is; else the image may well show none of them."""
        return bool(self.probabilities.max() >= self.unlikely)

    def top(self, count: int) -> list[tuple[str, float]]:
        """The `count` likeliest classes with their probabilities, likeliest first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.classes[index], float(self.probabilities[index])) for index in order]


@dataclass(frozen=True)
class Answer:
    """What a variant says to some images; its accuracy is None when it was never evaluated.

    `model` is the file that its network came from: that of the variant, or the page of results.
    """

    variant: str
    test_accuracy: float | None
    model: str
    predictions: list[Prediction]


def as_text(answer: Answer, *, top: int) -> str:
    """One line on the variant, then one line an image."""
    accuracy = answer.test_accuracy
    measured = "not evaluated" if accuracy is None else f"test accuracy {accuracy:.1%}"
    # Only the page's network is another than the one that was trained and measured.
    page = f" before {carried.PAGE} rounded its kernels to 16 bits"
    rounded = page if answer.model == carried.PAGE.as_posix() else ""
    lines = [f"variant {answer.variant}, {measured}{rounded}"]
    for prediction in answer.predictions:
        guesses = [f"{printable(label)} {share:.1%}" for label, share in prediction.top(top)]
        doubt = "" if prediction.likely else f"; {DOUBT}"
        name = printable(prediction.name)
        lines.append(f"{name}: {', '.join(guesses)}{doubt}")
    return "\n".join(lines)


def as_json(answer: Answer, *, top: int) -> str:
    """The JSON object that pipeline/predict/__main__.py describes, probabilities to 6 decimals."""
    content = {
        "variant": answer.variant,
        "test_accuracy": answer.test_accuracy,
        "model": answer.model,
        "predictions": [
            {
                "image": prediction.name,
                "likely": prediction.likely,
                "top": [
                    {"class": name, "probability": round(share, 6)}
                    for name, share in prediction.top(top)
                ],
            }
            for prediction in answer.predictions
        ],
    }
    return json.dumps(content, indent=2, allow_nan=False)


def draw(answer: Answer, path: Path, *, top: int) -> None:
    """Draw each image as the network saw it, beside bars of its `top` classes, to a PNG."""
    from pipeline.report import figures

    columns = min(3, len(answer.predictions))
    rows = -(-len(answer.predictions) // columns)
    # A name in a script that the font lacks is drawn as boxes, which needs no warning as well.
    with (
        warnings.catch_warnings(action="ignore", category=UserWarning),
        figures.drawing(
            path,
            nrows=rows,
            ncols=2 * columns,
            figsize=(4.6 * columns, 1 + (0.9 + 0.16 * top) * rows),
            width_ratios=[1, 1.4] * columns,
            squeeze=False,
        ) as (figure, axes),
    ):
        figure.suptitle(f"As variant {answer.variant} saw it")
        cells = axes.reshape(-1, 2)
        for axis in axes.flat:
            axis.set_axis_off()
        for prediction, (picture, bars) in zip(answer.predictions, cells, strict=False):
            picture.imshow(prediction.image, interpolation="nearest")
            # A file name may hold what UTF-8 does not take.
            name = Path(prediction.name).name.encode("utf-8", "replace").decode()
            picture.set_title(figures.short(name), loc="left", fontsize="medium")
            guesses = prediction.top(top)
            _draw_bars(bars, [(figures.short(label), share) for label, share in guesses])
            if not prediction.likely:
                bars.set_title(DOUBT, loc="left", fontsize="small")


def _draw_bars(axis: Any, guesses: Sequence[tuple[str, float]]) -> None:
    names, shares = zip(*guesses, strict=True)
    axis.set_axis_on()
    places = range(len(names))
    bars = axis.barh(places, shares, color="#0072B2")
    axis.set_yticks(places, names)
    axis.bar_label(bars, [f"{share:.1%}" for share in shares], padding=3)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.35)  # leaves the label of a full bar its room
    axis.set_xticks([])
    axis.grid(False)
    axis.spines["bottom"].set_visible(False)
