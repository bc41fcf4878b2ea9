"""The table of the comparison, for programs and for people."""

import math
import re
from typing import Any

import made_up
import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT

from pipeline.comparison import by_class, results, table
from pipeline.comparison.groups import Group
from pipeline.comparison.stage import PUBLISHED

FIGURES: dict[str, Any] = {
    "loss": 1.5,
    "one_view_accuracy": 0.0625,
    "top2_accuracy": 0.625,
    "balanced_accuracy": 0.1875,
    "macro_f1": 0.375,
    "calibration_error": 0.03125,
    "told_unlikely": 0.015625,
    "parameters": 1_234_567,
}
# Means of two seeds, which differ in all but the size of the network.
ONE_SEED = {name: figure * 1.5 for name, figure in FIGURES.items()} | {"parameters": 1_234_567}
OTHER_SEED = {name: figure * 0.5 for name, figure in FIGURES.items()} | {"parameters": 1_234_567}


def published() -> pd.DataFrame:
    """Of two variants, in another order than the ranking."""
    return pd.DataFrame({"accuracy": [0.25, 0.5], "loss": [2.0, 1.0]}, index=["low", "high"])


def groups() -> list[Group]:
    """Three, the least accurate first; `high` has two seeds, `new` none of the study's figures."""
    history = made_up.history(3, 1)
    first = history.assign(val_accuracy=[0.125, 0.5, 0.25])
    second = history.assign(val_accuracy=[0.125, 0.25, 0.375])
    blank = made_up.history(3, 1, validated=False)
    return [
        Group((made_up.result("low", accuracy=0.125, learned=first, loss=1.75),)),
        Group((made_up.result("new", accuracy=0.5, learned=blank, loss=1.25),)),
        Group(
            (
                made_up.result("high", accuracy=0.5, learned=first, **ONE_SEED),
                made_up.result("high_2", accuracy=0.75, learned=second, **OTHER_SEED),
            )
        ),
    ]


def test_a_row_for_each_group_the_most_accurate_first() -> None:
    found = table.table(groups(), published(), 0.95).set_index("variant")
    assert list(found.index) == ["high", "new", "low"]
    assert list(found["seeds"]) == [2, 1, 1]
    assert list(found["accuracy"]) == [0.625, 0.5, 0.125]
    assert found.loc["high", "accuracy_deviation"] == pytest.approx(math.sqrt(1 / 32), abs=1e-12)
    assert found.loc[["new", "low"], "accuracy_deviation"].isna().all()
    assert {name: found.loc["high", name] for name in FIGURES} == FIGURES
    assert list(found["best_val_epochs"]) == ["2 3", "", "2"]
    assert found.loc["high", "best_val_accuracy"] == 0.4375
    assert pd.isna(found.loc["new", "best_val_accuracy"])


def test_each_group_beside_what_was_published_of_it() -> None:
    found = table.table(groups(), published(), 0.95).set_index("variant")
    beside = found[
        ["published_accuracy", "accuracy_difference", "published_loss", "loss_difference"]
    ]
    assert beside.loc["high"].tolist() == [0.5, 0.125, 1.0, 0.5]
    assert beside.loc["low"].tolist() == [0.25, -0.125, 2.0, -0.25]
    assert beside.loc["new"].isna().all()


def test_columns_for_programs() -> None:
    assert list(table.table(groups(), published(), 0.95)) == [
        *("variant", "seeds", "accuracy", "accuracy_deviation", "accuracy_low", "accuracy_high"),
        *("loss", "one_view_accuracy", "top2_accuracy", "balanced_accuracy", "macro_f1"),
        "calibration_error",
        "told_unlikely",
        *("parameters", "best_val_accuracy", "best_val_epochs", "published_accuracy"),
        *("accuracy_difference", "published_loss", "loss_difference"),
    ]


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_interval_is_of_so_many_test_images_at_the_confidence_asked_for(confidence: float) -> None:
    row = table.table(groups(), published(), confidence).iloc[1]
    expected = table.wilson_interval(0.5, 10, confidence)
    assert (row["accuracy_low"], row["accuracy_high"]) == expected


@pytest.mark.parametrize(
    ("share", "trials", "confidence", "expected"),
    [
        # Newcombe, Statistics in Medicine 17, 1998, table I, method 3.
        (81 / 263, 263, 0.95, (0.2553, 0.3662)),
        (15 / 148, 148, 0.95, (0.0624, 0.1605)),
        (0 / 20, 20, 0.95, (0.0, 0.1611)),
        (1 / 29, 29, 0.95, (0.0061, 0.1718)),
        (29 / 29, 29, 0.95, (0.8830, 1.0)),
        # z = 1 for 68.27 %: centre (0.5 + 1/8) / (1 + 1/4), spread sqrt(1/16 + 1/64) / (1 + 1/4)
        (0.5, 4, 0.6826894921, (0.5 - 0.2236068, 0.5 + 0.2236068)),
        (0.5 - 0.1, 4, 0.6826894921, (0.5 - 0.2236068, 0.5 + 0.2236068)),  # the nearest: 2 of 4
    ],
)
def test_wilson_interval(
    share: float, trials: int, confidence: float, expected: tuple[float, float]
) -> None:
    found = table.wilson_interval(share, trials, confidence)
    assert found == pytest.approx(expected, abs=6e-5)
    assert found[0] >= 0
    assert found[1] <= 1


def cells(text: str) -> list[dict[str, str]]:
    """The rows of a Markdown table, by its headings."""
    head, line, *rows = [re.split(r" *\| *", row.strip("| ")) for row in text.splitlines()]
    assert all(re.fullmatch(":?-+:?", cell) for cell in line)
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_for_people_each_figure_stands_under_its_heading() -> None:
    high, new, low = cells(table.markdown(table.table(groups(), published(), 0.95), 0.95))
    low_end, high_end = table.wilson_interval(0.625, 10, 0.95)
    assert high == {
        "variant": "high",
        "seeds": "2",
        "test accuracy": "0.6250 ± 0.1768",
        "95 % interval": f"{low_end:.4f} to {high_end:.4f}",
        "published (difference)": "0.5000 (+0.1250)",
        "test loss": "1.5000",
        "published loss (difference)": "1.0000 (+0.5000)",
        "one view": "0.0625",
        "top-2 accuracy": "0.6250",
        "balanced accuracy": "0.1875",
        "macro F1": "0.3750",
        "calibration error": "0.0312",
        "told unlikely": "0.0156",
        "best validation accuracy (epoch)": "0.4375 (2 3)",
        "parameters": "1,234,567",
    }
    assert low["test accuracy"] == "0.1250"
    assert low["published (difference)"] == "0.2500 (-0.1250)"
    assert low["published loss (difference)"] == "2.0000 (-0.2500)"
    assert low["best validation accuracy (epoch)"] == "0.5000 (2)"
    blank = {name for name, cell in new.items() if not cell}
    assert blank == {
        "published (difference)",
        "published loss (difference)",
        "best validation accuracy (epoch)",
    }


def test_for_people_numbers_are_aligned_right() -> None:
    line = table.markdown(table.table(groups(), published(), 0.9), 0.9).splitlines()[1]
    assert re.fullmatch(r"\|:-+\|(-+:\|){14}", line)


def test_balanced_accuracy_has_a_column_where_it_is_another_than_the_accuracy() -> None:
    one = made_up.result("one", accuracy=0.5, balanced_accuracy=0.500001)
    two = made_up.result("two", accuracy=0.25, balanced_accuracy=0.25)
    even = table.table([Group((one,)), Group((two,))], None, 0.95)
    assert "balanced accuracy" not in cells(table.markdown(even, 0.95))[0]
    assert list(even["balanced_accuracy"]) == [0.500001, 0.25]
    three = made_up.result("three", accuracy=0.25, balanced_accuracy=0.2499)
    uneven = table.table([Group((one,)), Group((three,))], None, 0.95)
    found = [row["balanced accuracy"] for row in cells(table.markdown(uneven, 0.95))]
    assert found == ["0.5000", "0.2499"]


def test_where_nothing_was_published_there_is_no_column_for_it() -> None:
    found = table.table(groups(), None, 0.95)
    assert not [name for name in found if "published" in name or name.endswith("_difference")]
    row = cells(table.markdown(found, 0.95))[0]
    assert not [name for name in row if "published" in name]
    assert row["test loss"] == "1.5000"


def test_of_a_class_without_test_images_no_recall_is_told() -> None:
    counts = np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]])
    names = ["a|b", "none", "<i>"]
    group = Group((made_up.result("one", classes=names, counts=counts),))
    found = by_class.table([group], 0.6826894921)
    assert found["test_images"].tolist() == [4, 0, 4]
    assert found["recall"].iloc[[0, 2]].tolist() == [0.75, 0.5]
    assert found.loc[1, ["recall", "recall_low", "recall_high"]].isna().all()
    # z = 1 for 68.27 %: centre (0.5 + 1/8) / (1 + 1/4), spread sqrt(1/16 + 1/64) / (1 + 1/4)
    low, high = found.loc[2, ["recall_low", "recall_high"]]
    assert (low, high) == pytest.approx((0.5 - 0.2236068, 0.5 + 0.2236068), abs=1e-6)
    rows = by_class.markdown(found, 0.6826894921).splitlines()[2:]
    assert [re.split(r" *(?<!\\)\| *", row.strip("| ")) for row in rows] == [
        [r"a\|b", "4", "0.750 (0.500 to 0.900)"],
        ["none", "0"],
        [r"\<i>", "4", "0.500 (0.276 to 0.724)"],
    ]


def test_heading_of_the_interval_names_the_confidence() -> None:
    text = table.markdown(table.table(groups(), published(), 0.999), 0.999)
    assert "99.9 % interval" in cells(text)[0]


def test_published_figures_are_the_studys() -> None:
    found = results.read_published(PROJECT / PUBLISHED)
    assert list(found.index) == ["baseline", "improved", "deep", "final"]
    expected: dict[str, list[Any]] = {
        "accuracy": [0.6005, 0.6388, 0.6990, 0.7143],
        "loss": [1.1667, 1.0321, 1.8069, 0.8692],
        "best_val_accuracy": [0.6007, 0.6468, 0.7125, 0.7175],
        "best_val_epoch": [26, 28, 11, 27],
    }
    assert {name: found[name].tolist() for name in expected} == expected
