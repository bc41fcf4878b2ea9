"""Groups of seeds, Wilson's interval, McNemar's test, and the tables of the comparison."""

import re

import made_up
import numpy as np
import pandas as pd
import pytest

from pipeline.comparison import tables
from pipeline.comparison.results import Result
from pipeline.comparison.seeds import group_seeds
from pipeline.comparison.tables import wilson_interval

Ranges = list[tuple[int, int]]
SETTINGS = {"recipe": "fast", "seed": 1, "widths": [8, 16], "augmentation": {"shift": 2, "flip": 1}}


def test_variants_that_differ_in_their_seed_alone_are_grouped_by_rising_seed() -> None:
    variants = {
        "z": {**SETTINGS, "seed": 3},
        "m": {**SETTINGS, "seed": 20},
        "q": dict(reversed(SETTINGS.items())),
        "b": SETTINGS,
        "recipe": {**SETTINGS, "recipe": "best", "seed": 5},
        "widths": {**SETTINGS, "seed": 2, "widths": [16, 8]},
    }
    groups = [("b", "q", "z", "m"), ("recipe",), ("widths",)]
    assert group_seeds(variants) == groups


@pytest.mark.parametrize(
    ("share", "trials", "confidence", "expected"),
    [
        # Newcombe, Statistics in Medicine 17, 1998, table I, method 3.
        (81 / 263, 263, 0.95, (0.2553, 0.3662)),
        (0 / 20, 20, 0.95, (0.0, 0.1611)),
        # z = 1: centre (0.5 + 1/8) / (1 + 1/4), half-width sqrt(1/16 + 1/64) / (1 + 1/4)
        (0.4, 4, 0.6826894921, (0.5 - 0.2236068, 0.5 + 0.2236068)),  # rounded to 2 of 4
    ],
)
def test_wilson_interval(
    share: float, trials: int, confidence: float, expected: tuple[float, float]
) -> None:
    assert wilson_interval(share, trials, confidence) == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize(
    ("only_one", "only_other", "p_value"),
    [
        (0, 0, 1.0),
        (6, 0, 2 / 2**6),  # all six on one side, either of the two
        (0, 6, 2 / 2**6),
        (8, 2, 2 * (1 + 10 + 45) / 2**10),
    ],
)
def test_mcnemar_depends_on_discordant_images_alone(
    only_one: int, only_other: int, p_value: float
) -> None:
    for both in (0, 500):
        counts = [only_one, only_other, both, 10]
        one = np.repeat([True, False, True, False], counts)
        other = np.repeat([False, True, True, False], counts)
        assert tables.mcnemar_p_value(one, other) == pytest.approx(p_value, abs=1e-12)


PUBLISHED = pd.DataFrame({"accuracy": [0.5], "loss": [1.0]}, index=["high"])


def groups() -> list[list[Result]]:
    """`high` has two seeds, `new` no published figures."""
    seeds = [
        made_up.result("high", accuracy=0.5, loss=1.0, macro_f1=0.25),
        made_up.result("high_2", accuracy=0.75, loss=2.0, macro_f1=0.5),
    ]
    return [seeds, [made_up.result("new")]]


def read_markdown(text: str) -> list[dict[str, str]]:
    """The rows of a Markdown table by heading."""
    head, line, *rows = [re.split(r" *(?<!\\)\| *", row.strip("| ")) for row in text.splitlines()]
    assert all(re.fullmatch(":?-+:?", cell) for cell in line)
    return [dict(zip(head, row, strict=False)) for row in rows]


def test_comparison_has_means_over_seeds_beside_published_figures() -> None:
    table = tables.comparison_table(groups(), PUBLISHED, 0.9)
    high, new = read_markdown(tables.comparison_markdown(table, 0.9))
    bounds = wilson_interval(0.625, 10, 0.9)  # of ten test images
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
        "parameters": "7",
    }
    blank = ["published (difference)", "published loss (difference)"]
    assert [name for name, cell in new.items() if not cell] == blank


def group(name: str, *ranges: tuple[int, int]) -> list[Result]:
    """A seed for each of `ranges`, the images of 1,000 that it classifies correctly."""
    correct = [np.isin(np.arange(1000), range(*limits)) for limits in ranges]
    return [made_up.result(name, accuracy=seed.mean(), correct=seed) for seed in correct]


def test_differences_have_a_row_for_each_pair_of_the_ranking() -> None:
    ranked = [group("a", (0, 604)), group("b", (0, 600)), group("c", (0, 586))]
    table = tables.differences_table(ranked, 0.95)
    assert list(table["better"] + table["worse"]) == ["ab", "ac", "bc"]
    assert table["difference"].tolist() == pytest.approx([0.004, 0.018, 0.014], abs=1e-12)
    # Times three rows.
    assert table["p_value"].tolist() == pytest.approx([3 / 2**3, 3 / 2**17, 3 / 2**13], abs=1e-12)
    assert table["significant"].tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("a", "b", "confidence", "p_value", "significant"),
    [
        ([(0, 600)], [(0, 600)], 0.95, 1, False),
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
    a: Ranges, b: Ranges, confidence: float, p_value: float, significant: bool
) -> None:
    table = tables.differences_table([group("a", *a), group("b", *b)], confidence)
    assert table["p_value"].tolist() == pytest.approx([p_value], abs=1e-6)
    assert table["significant"].tolist() == [significant]
