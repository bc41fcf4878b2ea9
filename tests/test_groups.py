"""Variants that differ in their seed alone: found by their settings, and what they are together."""

from typing import Any

import made_up
import pandas as pd
import pytest

from pipeline.base.errors import PipelineError
from pipeline.comparison import groups
from pipeline.comparison.groups import Group

SETTINGS = {"recipe": "fast", "seed": 1, "network": "plain", "widths": [8, 16], "dropout": 0.5}


def test_variants_that_differ_in_their_seed_alone_are_together_by_rising_seed() -> None:
    variants = {
        "z": {**SETTINGS, "seed": 3},
        "m": {**SETTINGS, "seed": 20},
        "q": {**SETTINGS, "seed": 1},
        "alone": {**SETTINGS, "recipe": "best", "seed": 5},
    }
    assert groups.alike(variants) == [("alone",), ("q", "z", "m")]


def test_equal_seeds_are_in_the_order_of_their_names() -> None:
    assert groups.alike({"b": SETTINGS, "c": SETTINGS, "a": SETTINGS}) == [("a", "b", "c")]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("recipe", "best"),
        ("network", "whitened"),
        ("widths", [16, 8]),
        ("dropout", 0.0),
        ("augmentation", {"flip_horizontal": 0.5}),
    ],
)
def test_any_other_difference_keeps_them_apart(key: str, value: Any) -> None:
    variants = {"one": SETTINGS, "two": {**SETTINGS, "seed": 2, key: value}}
    assert groups.alike(variants) == [("one",), ("two",)]


def test_the_order_of_the_keys_makes_no_difference() -> None:
    reverse = dict(reversed({**SETTINGS, "seed": 2}.items()))
    assert groups.alike({"one": SETTINGS, "two": reverse}) == [("one", "two")]


def test_a_group_has_the_name_of_its_first_and_the_mean_of_all() -> None:
    one = made_up.result("one", accuracy=0.5, loss=1.0, macro_f1=0.25)
    two = made_up.result("two", accuracy=0.75, loss=2.0, macro_f1=0.75)
    group = Group((one, two))
    assert (group.name, group.first) == ("one", one)
    assert (group.mean("accuracy"), group.mean("loss"), group.mean("macro_f1")) == (0.625, 1.5, 0.5)


def test_deviation_is_that_of_a_sample() -> None:
    results = [made_up.result(accuracy=accuracy) for accuracy in (0.5, 0.75, 1.0)]
    # The squares of -1/4, 0 and 1/4 sum to 1/8; by n - 1 = 2, that is 1/16.
    assert Group(tuple(results)).deviation("accuracy") == pytest.approx(0.25, abs=1e-12)
    assert pd.isna(Group((results[0],)).deviation("accuracy"))


def learned(*accuracies: float) -> pd.DataFrame:
    return made_up.history(len(accuracies), 1).assign(val_accuracy=accuracies)


def test_best_validation_is_the_first_of_the_highest() -> None:
    results = [
        made_up.result(learned=learned(0.25, 0.5, 0.5, 0.375)),
        made_up.result(learned=learned(0.25, 0.5, 0.625, 0.75)),
    ]
    assert Group(tuple(results)).best_epochs() == [2, 4]
    assert Group(tuple(results)).best_val_accuracy() == 0.625


def test_there_is_no_best_validation_without_validation() -> None:
    group = Group((made_up.result(learned=made_up.history(3, 1, validated=False)),))
    assert group.best_epochs() == []
    assert pd.isna(group.best_val_accuracy())


def test_ranking_puts_the_highest_mean_accuracy_first_and_keeps_the_order_of_equals() -> None:
    low = Group((made_up.result("low", accuracy=0.25),))
    high = Group((made_up.result("high", accuracy=0.75),))
    equal = Group((made_up.result("equal", accuracy=0.25),))
    mixed = Group((made_up.result("mixed", accuracy=0.0), made_up.result("other", accuracy=0.75)))
    found = groups.ranked([low, mixed, high, equal])
    assert [group.name for group in found] == ["high", "mixed", "low", "equal"]


def test_a_figure_that_an_older_evaluate_did_not_measure_is_named() -> None:
    with pytest.raises(
        PipelineError,
        match=r"^reports/variants/old/metrics\.json: expected sharpness among the numbers, found "
        r"none; run `dvc repro evaluate@old`$",
    ):
        Group((made_up.result("new", sharpness=1.0), made_up.result("old"))).mean("sharpness")
