"""The page and the card of a folder of photos: its classes, its size, and no word of CIFAR-10."""

import contextlib
import re
from pathlib import Path

import made_up
import numpy as np
import page_project
import pandas as pd
import pytest
import yaml
from page_model import PAGE
from page_project import ODD, PHOTOS, files_of, held, tile

from pipeline.comparison import compare, results
from pipeline.page import chosen, examples, pictures
from pipeline.page import stage as page


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tensorflow_started: None) -> Path:
    return page_project.network(tmp_path_factory.mktemp("models") / "fast.keras")


@pytest.fixture(scope="module")
def of_photos(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """The project of a folder of photos, of eight classes that are called oddly."""
    folder = tmp_path_factory.mktemp("photos") / "project"
    with contextlib.chdir(files_of(folder, model, dataset=PHOTOS, classes=ODD, side=48)):
        compare.main([])
        page.main([])
    return folder


def test_page_of_photos_speaks_of_them_alone(
    of_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(of_photos)
    facts = held("facts")
    assert (facts["classes"], facts["side"], facts["framing"]) == (ODD, 48, "whole")
    assert facts["published"] is False
    assert facts["notebook"] == []
    assert "study" not in facts["answer"]
    text = PAGE.read_text(encoding="utf-8")
    seen = re.sub(r"<(script|style).*?</\1>", "", text, flags=re.S)
    assert "<h1>Small CNNs on &lt;b&gt;my_pictures &amp;c</h1>" in seen
    assert "tell 8 kinds of things apart in images of 48 by 48 pixels?" in seen
    assert "These are of the 800 to test with" in seen
    assert not re.search("CIFAR|Krizhevsky|study", seen)
    with np.load("data/processed/test.npz") as data:
        images = np.rint(255 * data["images"]).astype(np.uint8)
    np.testing.assert_array_equal(tile(facts["samples"], 15), images[701])


def test_card_of_photos_makes_no_claim_for_them(
    of_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(of_photos)
    text = page.CARD.read_text(encoding="utf-8")
    assert not re.search("CIFAR|cifar|Krizhevsky", text)
    _, head, body = text.split("---\n", 2)
    told = yaml.safe_load(head)
    assert not {"license", "datasets"} & set(told)
    (result,) = told["model-index"][0]["results"]
    assert result["dataset"]["name"] == "<b>my_pictures &c"
    assert r"network for \<b>my_pictures \&c" in body
    assert r"8 classes for an image of 48 by 48" in body
    assert r'class, nan, \<b>b\</b>, a\|b, a,b, say "hi", \$5 \& \$6, Käse.' in body
    assert "each whole, with white beside it, scaled to 48 by 48 pixels" in body
    row = next(line for line in body.splitlines() if line.startswith(r"| a\|b "))
    assert len(re.findall(r"(?<!\\)\|", row)) == 6
    assert "framing: whole" in body


def test_of_many_classes_the_page_has_the_most_confused_pairs(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"class {k}" for k in range(21)]
    dataset = PHOTOS | {"side": 16, "framing": "centre"}
    monkeypatch.chdir(
        files_of(tmp_path / "project", model, dataset=dataset, classes=names, side=16)
    )
    compare.main([])
    page.main([])
    facts = held("facts")
    final = facts["variants"]["final"]
    assert final["confusion"] is None
    counts = made_up.confusion(70, 70, 21)
    pairs = [tuple(pair) for pair in final["confused"]]
    assert pairs == results.top_confusions(counts, 15)
    told = {(actual, predicted) for _, actual, predicted, _ in final["examples"]}
    assert {pair[:2] for pair in pairs} <= told
    # Beside them the seven most confident mistakes.
    assert len(final["examples"]) <= 15 + 7
    assert max(e[3] for e in final["examples"]) == pytest.approx(0.86)


def test_examples_of_oddly_called_classes_are_read(
    of_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(of_photos)
    counts = made_up.confusion(70, 70, len(ODD))
    found = examples.read("final", ODD, 800)
    expected = zip(*np.nonzero(counts), strict=True)
    assert set(zip(found["actual"], found["predicted"], strict=True)) == set(expected)


def test_classes_take_turns_where_not_all_samples_have_room() -> None:
    labels = np.array([2, 0, 0, 1, 0, 2, 2, 2])
    assert chosen.samples(labels, 3, 99) == [1, 2, 4, 3, 0, 5, 6]
    assert chosen.samples(labels, 3, 5) == [1, 2, 3, 0, 5]
    assert chosen.samples(labels, 3, 2) == [1, 3]


def test_what_a_page_without_a_matrix_cannot_show_is_left_out() -> None:
    rows = [(0, 0, 1, 0.5), (1, 1, 1, 0.99), (2, 1, 2, 0.75), (3, 2, 0, 0.9), (4, 2, 1, 0.25)]
    table = pd.DataFrame(rows, columns=list(examples.COLUMNS))
    assert chosen.choosable(table, None, 1) is table
    kept = chosen.choosable(table, [(0, 1, 7), (1, 2, 3)], 1)
    assert kept["index"].tolist() == [0, 2, 3]


@pytest.mark.parametrize(
    ("side", "count", "expected"),
    [
        (32, 8192, 32),
        (64, 2048, 64),
        (64, 2049, 48),
        (100, 10, 96),
        (256, 128, 256),
        (16, 10**6, 16),
    ],
)
def test_many_large_pictures_are_made_smaller(side: int, count: int, expected: int) -> None:
    assert pictures.small_side(side, count) == expected


def test_there_may_be_no_picture_to_show() -> None:
    found = pictures.small(np.zeros((0, 100, 100, 3), np.float32), 60)
    assert (found["columns"], found["side"]) == (1, 100)
    assert tile(found, 0).max() == 0


def test_a_sheet_has_hardly_more_room_than_pictures() -> None:
    images = np.linspace(0, 1, 41, dtype=np.float32)[:, None, None, None] * np.ones((1, 16, 16, 3))
    found = pictures.lossless(images)
    assert (found["columns"], found["side"]) == (21, 16)
    for place in (0, 20, 21, 40):
        assert (tile(found, place) == round(255 * place / 40)).all()
