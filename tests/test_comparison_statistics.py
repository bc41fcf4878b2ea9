"""Seed groups, Wilson's interval and McNemar's test."""

from typing import Any

import made_up
import numpy as np
import pandas as pd
import pytest

from pipeline.base.errors import PipelineError
from pipeline.comparison import statistics
from pipeline.comparison.statistics import SeedGroup

SETTINGS = {"recipe": "fast", "seed": 1, "widths": [8, 16], "augmentation": {"shift": 2, "flip": 1}}


def test_variants_that_differ_in_their_seed_alone_are_grouped_by_rising_seed() -> None:
    variants = {
        "z": {**SETTINGS, "seed": 3},
        "m": {**SETTINGS, "seed": 20},
        "q": dict(reversed(SETTINGS.items())),
        "b": SETTINGS,
        "alone": {**SETTINGS, "recipe": "best", "seed": 5},
    }
    assert statistics.group_seeds(variants) == [("alone",), ("b", "q", "z", "m")]


@pytest.mark.parametrize(
    ("key", "value"), [("recipe", "best"), ("widths", [16, 8]), ("augmentation", {"shift": 1})]
)
def test_any_other_difference_separates_groups(key: str, value: Any) -> None:
    variants = {"one": SETTINGS, "two": {**SETTINGS, "seed": 2, key: value}}
    assert statistics.group_seeds(variants) == [("one",), ("two",)]


def test_group_is_named_after_its_first_and_has_mean_and_sample_deviation() -> None:
    results = [made_up.result(f"v{share}", accuracy=share) for share in (0.5, 0.75, 1.0)]
    group = SeedGroup(tuple(results))
    assert (group.name, group.first) == ("v0.5", results[0])
    assert group.mean("accuracy") == 0.75
    # The squares of -1/4, 0 and 1/4 sum to 1/8; divided by n - 1 = 2 that is 1/16.
    assert group.std("accuracy") == pytest.approx(0.25, abs=1e-12)
    assert np.isnan(SeedGroup((results[0],)).std("accuracy"))


def history(*accuracies: float) -> pd.DataFrame:
    return made_up.history(len(accuracies), 1).assign(val_accuracy=accuracies)


def test_best_validation_is_the_first_maximum_of_each_seed() -> None:
    results = [made_up.result(learned=history(0.25, 0.5, 0.5)), made_up.result(learned=history(1))]
    group = SeedGroup(tuple(results))
    assert group.best_epochs() == [2, 1]
    assert group.best_val_accuracy() == 0.75
    group = SeedGroup((made_up.result(learned=made_up.history(3, 1, validated=False)),))
    assert group.best_epochs() == []
    assert np.isnan(group.best_val_accuracy())


def test_ranking_by_mean_accuracy_keeps_the_order_of_ties() -> None:
    accuracies = {"low": (0.25,), "mixed": (0.0, 0.75), "high": (0.75,), "tie": (0.25,)}
    groups = [
        SeedGroup(tuple(made_up.result(name, accuracy=share) for share in shares))
        for name, shares in accuracies.items()
    ]
    names = [group.name for group in statistics.rank_groups(groups)]
    assert names == ["high", "mixed", "low", "tie"]


def test_metric_that_one_seed_lacks_is_named_with_its_file_and_stage() -> None:
    group = SeedGroup((made_up.result("new", sharpness=1.0), made_up.result("old")))
    with pytest.raises(PipelineError, match=r"variants/old/metrics\.json.*sharpness.*evaluate@old"):
        group.mean("sharpness")


@pytest.mark.parametrize(
    ("share", "trials", "confidence", "expected"),
    [
        # Newcombe, Statistics in Medicine 17, 1998, table I, method 3.
        (81 / 263, 263, 0.95, (0.2553, 0.3662)),
        (0 / 20, 20, 0.95, (0.0, 0.1611)),
        (29 / 29, 29, 0.95, (0.8830, 1.0)),
        # z = 1: centre (0.5 + 1/8) / (1 + 1/4), half-width sqrt(1/16 + 1/64) / (1 + 1/4)
        (0.5, 4, 0.6826894921, (0.5 - 0.2236068, 0.5 + 0.2236068)),
        (0.4, 4, 0.6826894921, (0.5 - 0.2236068, 0.5 + 0.2236068)),  # rounded to 2 of 4
    ],
)
def test_wilson_interval(
    share: float, trials: int, confidence: float, expected: tuple[float, float]
) -> None:
    interval = statistics.wilson_interval(share, trials, confidence)
    assert interval == pytest.approx(expected, abs=6e-5)
    assert 0 <= interval[0] <= interval[1] <= 1


@pytest.mark.parametrize(
    ("only_one", "only_other", "p_value"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
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
        assert statistics.mcnemar_p_value(one, other) == pytest.approx(p_value, abs=1e-12)
