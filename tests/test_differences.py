"""Which differences between variants are called sure."""

import re

import made_up
import numpy as np
import pytest

from pipeline.comparison import differences
from pipeline.comparison.groups import Group

IMAGES = 1000


def decisions(*, only_one: int, only_other: int, both: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of the images two classifiers have right; 10 they both have wrong."""
    one = np.repeat([True, False, True, False], [only_one, only_other, both, 10])
    other = np.repeat([False, True, True, False], [only_one, only_other, both, 10])
    return one, other


@pytest.mark.parametrize(
    ("only_one", "only_other", "p_value"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (6, 0, 2 / 2**6),  # all six on one side, either of the two
        (0, 6, 2 / 2**6),
        (8, 2, 2 * (1 + 10 + 45) / 2**10),
        (3, 7, 2 * (1 + 10 + 45 + 120) / 2**10),
    ],
)
def test_paired_test_counts_only_images_that_one_alone_has_right(
    only_one: int, only_other: int, p_value: float
) -> None:
    for both in (0, 500):
        pair = decisions(only_one=only_one, only_other=only_other, both=both)
        assert differences.paired_p_value(*pair) == pytest.approx(p_value, abs=1e-12)


def group(name: str, *ranges: tuple[int, int]) -> Group:
    """A result for each of `ranges`, from where to where of the 1,000 images it has them right."""
    results = []
    for number, (start, end) in enumerate(ranges):
        right = np.zeros(IMAGES, bool)
        right[start:end] = True
        results.append(made_up.result(f"{name}{number or ''}", accuracy=right.mean(), right=right))
    return Group(tuple(results))


def test_a_row_for_each_two_groups_the_more_accurate_first() -> None:
    found = differences.table(
        [group("c", (0, 500)), group("a", (0, 700)), group("b", (0, 600))], 0.95
    )
    assert list(found) == ["better", "worse", "difference", "p_value", "beats"]
    assert list(zip(found["better"], found["worse"], strict=True)) == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    assert found["difference"].tolist() == pytest.approx([0.1, 0.2, 0.1], abs=1e-12)
    assert list(found["beats"]) == [True, True, True]


def test_probability_is_multiplied_by_the_number_of_rows_and_at_most_1() -> None:
    # Six images on one side alone: 1/32, below 0.05 by itself.
    a, b = group("a", (0, 606)), group("b", (0, 600))
    alone = differences.table([a, b], 0.95)
    assert alone["p_value"].tolist() == [2 / 2**6]
    assert list(alone["beats"]) == [True]
    # Of a third group there are three rows: 3/32, which is not.
    among = differences.table([a, b, group("c", (0, 100))], 0.95).set_index(["better", "worse"])
    assert among.loc[("a", "b"), "p_value"] == pytest.approx(6 / 2**6, abs=1e-12)
    assert not among.loc[("a", "b"), "beats"]
    assert among.loc[("b", "c"), "beats"]
    # Four images: 1/8, times 10 rows of five groups.
    many = [group(f"v{number}", (0, 600 + 4 * number)) for number in range(5)]
    assert differences.table(many, 0.95)["p_value"].max() == 1


def test_of_several_seeds_the_least_sure_pair_counts() -> None:
    # The second seed has six images more than b, the first 100.
    found = differences.table([group("a", (0, 700), (0, 606)), group("b", (0, 600))], 0.95)
    assert found["p_value"].tolist() == [2 / 2**6]
    assert found["difference"].tolist() == pytest.approx([0.053], abs=1e-12)
    # Both ways: of four pairs, the nearest two differ in five images alone.
    found = differences.table(
        [group("a", (0, 700), (0, 605)), group("b", (0, 500), (0, 600))], 0.95
    )
    assert found["p_value"].tolist() == [2 / 2**5]
    assert list(found["beats"]) == [False]


def test_one_beats_another_only_if_it_is_ahead_in_every_pair() -> None:
    # Surely different in each pair, on the mean ahead, but the second seed of a is behind b.
    a, b = group("a", (0, 900), (0, 400)), group("b", (0, 600))
    found = differences.table([a, b], 0.95)
    assert found["p_value"].max() < 1e-6
    assert found["better"].tolist() == ["a"]
    assert list(found["beats"]) == [False]
    # As accurate, by other images, is not ahead.
    a, b = group("a", (0, 900), (0, 600)), group("b", (400, 1000))
    assert list(differences.table([a, b], 0.95)["beats"]) == [False]


def test_how_sure_is_sure_is_asked_for() -> None:
    groups = [group("a", (0, 606)), group("b", (0, 600))]  # p = 1/32 = 0.03125
    assert list(differences.table(groups, 0.95)["beats"]) == [True]
    assert list(differences.table(groups, 0.97)["beats"]) == [False]


def test_for_people_each_against_the_next_in_the_ranking() -> None:
    groups = [
        *(group("c", (0, 500)), group("a", (0, 700))),
        *(group("d", (0, 496)), group("b", (0, 600))),
    ]
    text = differences.markdown(differences.table(groups, 0.95), 0.95)
    rows = [re.split(r" *\| *", row.strip("| ")) for row in text.splitlines()]
    assert rows[0] == ["the more accurate", "the other", "difference", "p", "sure at 95 %"]
    assert rows[2:] == [
        ["a", "b", "+0.1000", "< 0.0001", "yes"],
        ["b", "c", "+0.1000", "< 0.0001", "yes"],
        ["c", "d", "+0.0040", "0.7500", "no"],  # 1/8, times six rows
    ]


def test_a_single_group_has_nothing_to_differ_from() -> None:
    found = differences.table([group("a", (0, 500))], 0.95)
    assert list(found) == ["better", "worse", "difference", "p_value", "beats"]
    assert found.empty
    assert len(differences.markdown(found, 0.95).splitlines()) == 2
