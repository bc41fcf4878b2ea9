"""The tables of the comparison, differences and classes, and their Markdown."""

import re

import made_up
import numpy as np
import pandas as pd
import pytest

from pipeline.comparison import tables
from pipeline.comparison.statistics import SeedGroup, wilson_interval

PUBLISHED = pd.DataFrame({"accuracy": [0.5], "loss": [1.0]}, index=["high"])


def groups() -> list[SeedGroup]:
    """`high` has two seeds, `new` neither validation nor published figures."""
    history = made_up.history(3, 1)
    blank = made_up.history(3, 1, validated=False)
    one = history.assign(val_accuracy=[0.125, 0.5, 0.25])
    two = history.assign(val_accuracy=[0.125, 0.25, 0.375])
    seeds = (
        made_up.result("high", accuracy=0.5, learned=one, loss=1.0, macro_f1=0.25),
        made_up.result("high_2", accuracy=0.75, learned=two, loss=2.0, macro_f1=0.5),
    )
    return [SeedGroup((made_up.result("new", learned=blank),)), SeedGroup(seeds)]


def read_markdown(text: str) -> list[dict[str, str]]:
    """The rows of a Markdown table by heading."""
    head, line, *rows = [re.split(r" *(?<!\\)\| *", row.strip("| ")) for row in text.splitlines()]
    assert all(re.fullmatch(":?-+:?", cell) for cell in line)
    return [dict(zip(head, row, strict=False)) for row in rows]


def test_comparison_has_means_over_seeds_beside_published_figures() -> None:
    table = tables.comparison_table(groups(), PUBLISHED, 0.9)
    high, new = read_markdown(tables.comparison_markdown(table, 0.9))
    bounds = wilson_interval(0.625, 10, 0.9)
    assert high == {
        "variant": "high",
        "seeds": "2",
        "test accuracy": "0.6250 ± 0.1768",
        "90 % interval": f"{bounds[0]:.4f} to {bounds[1]:.4f}",
        "published (difference)": "0.5000 (+0.1250)",
        "test loss": "1.5000",
        "published loss (difference)": "1.0000 (+0.5000)",
        **dict.fromkeys(tables.METRICS.values(), "0.2500"),
        "macro F1": "0.3750",
        "calibration error": "0.1250",
        "best validation accuracy (epoch)": "0.4375 (2 3)",
        "parameters": "7",
    }
    blank = ["published (difference)", "published loss (difference)"]
    assert [name for name, cell in new.items() if not cell] == [
        *blank,
        "best validation accuracy (epoch)",
    ]


def test_comparison_without_published_figures_has_no_columns_for_them() -> None:
    table = tables.comparison_table(groups(), None, 0.95)
    markdown = tables.comparison_markdown(table, 0.95)
    assert not re.search("published|difference", " ".join(table) + markdown)


@pytest.mark.parametrize(("balanced", "is_shown"), [(0.500001, False), (0.5001, True)])
def test_balanced_accuracy_is_shown_where_it_differs(balanced: float, is_shown: bool) -> None:
    group = SeedGroup((made_up.result(accuracy=0.5, balanced_accuracy=balanced),))
    table = tables.comparison_table([group], None, 0.95)
    (row,) = read_markdown(tables.comparison_markdown(table, 0.95))
    assert ("balanced accuracy" in row) == is_shown
    assert list(table["balanced_accuracy"]) == [balanced]


def group(name: str, *ranges: tuple[int, int]) -> SeedGroup:
    """A seed for each of `ranges`, the images of 1,000 that it classifies correctly."""
    correct = [np.isin(np.arange(1000), range(*limits)) for limits in ranges]
    results = [made_up.result(name, accuracy=seed.mean(), correct=seed) for seed in correct]
    return SeedGroup(tuple(results))


def test_differences_markdown_is_of_neighbours_in_the_ranking() -> None:
    three = [group("c", (0, 586)), group("a", (0, 604)), group("b", (0, 600))]
    table = tables.differences_table(three, 0.95)
    assert list(table["better"] + table["worse"]) == ["ab", "ac", "bc"]
    assert table["difference"].tolist() == pytest.approx([0.004, 0.018, 0.014], abs=1e-12)
    rows = [list(row.values()) for row in read_markdown(tables.differences_markdown(table, 0.95))]
    assert rows == [
        ["a", "b", "+0.0040", "0.3750", "no"],  # 1/8, times three rows
        ["b", "c", "+0.0140", "0.0004", "yes"],  # 1/2**13, times three rows
    ]


@pytest.mark.parametrize(
    ("a", "b", "confidence", "p_value", "beats"),
    [
        ([(0, 606)], [(0, 600)], 0.95, 2 / 2**6, True),
        ([(0, 606)], [(0, 600)], 0.97, 2 / 2**6, False),
        # The largest p-value of all pairs of seeds.
        ([(0, 700), (0, 606)], [(0, 600)], 0.95, 2 / 2**6, True),
        ([(0, 700), (0, 605)], [(0, 500), (0, 600)], 0.95, 2 / 2**5, False),
        # Different in each pair and ahead on the mean, but one seed is behind.
        ([(0, 900), (0, 400)], [(0, 600)], 0.95, 0.0, False),
    ],
)
def test_one_group_beats_another_if_every_pair_of_seeds_does(
    a: list[tuple[int, int]],
    b: list[tuple[int, int]],
    confidence: float,
    p_value: float,
    beats: bool,
) -> None:
    table = tables.differences_table([group("a", *a), group("b", *b)], confidence)
    assert table["better"].tolist() == ["a"]
    assert table["p_value"].tolist() == pytest.approx([p_value], abs=1e-6)
    assert table["beats"].tolist() == [beats]


def test_corrected_p_values_are_at_most_1() -> None:
    five = [group(f"v{number}", (0, 600 + 4 * number)) for number in range(5)]
    assert tables.differences_table(five, 0.95)["p_value"].max() == 1


def test_recall_of_each_class_is_the_mean_over_seeds_and_blank_without_test_images() -> None:
    counts = np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]])
    names = ["a|b", "none", "<i>"]
    other = np.array([[1, 3, 0], [0, 0, 0], [0, 0, 4]])
    seeds = [made_up.result("one", classes=names, counts=seed) for seed in (counts, other)]
    table = tables.classes_table([SeedGroup(tuple(seeds)), SeedGroup((seeds[1],))], 0.6826894921)
    assert table["test_images"].tolist() == [4, 0, 4] * 2
    assert table["recall"].fillna(-1).tolist() == [0.5, -1, 0.75, 0.25, -1, 1]
    assert table.loc[1, ["recall_low", "recall_high"]].isna().all()
    # z = 1: centre (0.5 + 1/8) / (1 + 1/4), half-width sqrt(1/16 + 1/64) / (1 + 1/4)
    bounds = table.loc[0, ["recall_low", "recall_high"]].tolist()
    assert bounds == pytest.approx([0.5 - 0.2236068, 0.5 + 0.2236068], abs=1e-6)


def test_classes_markdown_has_a_column_per_variant_and_escapes_class_names() -> None:
    results = [made_up.result(name, classes=["a|b", "<i>"]) for name in ("one", "two")]
    table = tables.classes_table([SeedGroup((result,)) for result in results], 0.95)
    table["recall"] = [0.5, np.nan, 0.25, 0.125]
    first, second = read_markdown(tables.classes_markdown(table, 0.95))
    cells = [r"a\|b", "1", "0.500 (0.207 to 1.000)", "0.250 (0.207 to 1.000)"]
    assert list(first.values()) == cells
    assert list(first) == ["recall (95 % interval)", "test images", "one", "two"]
    assert list(second.values()) == [r"\<i>", "1", "", "0.125 (0.207 to 1.000)"]
