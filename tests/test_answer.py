"""The figure of an answer: each photo as the network saw it, beside its likeliest classes."""

from pathlib import Path

import numpy as np
import panels

from pipeline.datasets.cifar10 import CLASSES
from pipeline.predict import answer
from pipeline.report.figures import Axes, Figure

IMAGES = np.random.default_rng(1).random((4, 32, 32, 3), np.float32)


def prediction(name: str, number: int) -> answer.Prediction:
    """A half for class `number`, a quarter and an eighth for the two after it."""
    shares = np.zeros(10, np.float32)
    shares[number : number + 3] = 0.5, 0.25, 0.125
    return answer.Prediction(name, IMAGES[number], shares, CLASSES, 0.25)


def bars(axis: Axes) -> dict[float, float]:
    return {float(bar.get_center()[1]): bar.get_width() for bar in axis.patches}  # type: ignore[attr-defined]


def test_each_photo_beside_the_bars_of_its_likeliest_classes(
    tmp_path: Path, drawn: dict[str, Figure]
) -> None:
    long = "a_photo_with_a_very_long_name.jpeg"
    names = ["folder/cat.png", "$x$.png", long, "bird.png"]
    predictions = [prediction(name, number) for number, name in enumerate(names)]
    answer.draw(
        answer.Answer("final", 0.5, "models/final.keras", predictions), tmp_path / "out.png", top=3
    )
    figure = drawn["out.png"]
    assert figure.get_suptitle() == "As variant final saw it"
    pairs = list(zip(figure.axes[::2], figure.axes[1::2], strict=True))
    assert len(pairs) == 6  # two rows of three
    titles = [picture.get_title(loc="left") for picture, _ in pairs]
    assert titles == ["cat.png", "$x$.png", "a_photo_with_a_…ame.jpeg", "bird.png", "", ""]
    classes = [
        ["airplane", "automobile", "bird"],
        ["automobile", "bird", "cat"],
        ["bird", "cat", "deer"],
        ["cat", "deer", "dog"],
    ]
    for number, (picture, chart) in enumerate(pairs[:4]):
        (image,) = picture.images
        np.testing.assert_array_equal(np.asarray(image.get_array()), IMAGES[number])
        places = panels.ticks(chart, "y")
        assert list(places) == classes[number]
        assert [bars(chart)[place] for place in places.values()] == [0.5, 0.25, 0.125]
        assert panels.words(chart.texts) == ["50.0%", "25.0%", "12.5%"]
        bottom, top = chart.get_ylim()
        assert bottom > top  # the likeliest first
        assert chart.get_xlim() == (0, 1.35)
        assert (picture.axison, chart.axison) == (False, True)
    assert not any(axis.axison or axis.images for pair in pairs[4:] for axis in pair)


def test_one_photo_has_the_figure_to_itself(tmp_path: Path, drawn: dict[str, Figure]) -> None:
    answer.draw(
        answer.Answer("final", None, "models/final.keras", [prediction("a", 0)]),
        tmp_path / "out.png",
        top=1,
    )
    assert len(drawn["out.png"].axes) == 2
    assert list(panels.ticks(drawn["out.png"].axes[1], "y")) == ["airplane"]


def test_any_name_of_a_class_is_legible(tmp_path: Path, drawn: dict[str, Figure]) -> None:
    shares = np.array([0.6, 0.4], np.float32)
    names = ("$x$ Grüner Tee", "a_class_with_a_very_long_name")
    found = answer.Prediction("a", IMAGES[0], shares, names, 0.25)
    answer.draw(answer.Answer("final", None, "m", [found]), tmp_path / "out.png", top=2)
    labels = drawn["out.png"].axes[1].get_yticklabels()
    assert panels.words(labels) == ["$x$ Grüner Tee", "a_class_with_a_…ong_name"]
    assert not any(label.get_parse_math() for label in labels)
    found = answer.Prediction("a", IMAGES[0], shares, ("one\nline", "b"), 0.25)
    said = answer.as_text(answer.Answer("final", None, "m", [found]), top=1)
    assert said.splitlines()[1:] == ["a: one\\nline 60.0%"]
