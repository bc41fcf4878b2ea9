"""Which photo is in which split: by its content and the seed alone, and in one split alone."""

import numpy as np
import pytest

from pipeline.base.errors import PipelineError
from pipeline.data import splits
from pipeline.data.settings import Photos
from pipeline.preprocess import division
from pipeline.preprocess.division import DROPPED, TEST, TRAIN, VALIDATION

CONTENTS = [f"photo {number}".encode() for number in range(2000)]
UNDIVIDED = ("validation", "test")


def settings(*, validation: float = 0.1, test: float = 0.2, seed: int = 1) -> Photos:
    return Photos(
        kind="photos",
        folder="photos",
        side=32,
        framing="centre",
        validation_share=validation,
        test_share=test,
        seed=seed,
        duplicates="keep",
    )


def drawn(contents: list[bytes], seed: int = 1) -> np.ndarray:
    return np.array([division.draw(content, seed) for content in contents])


def divided(contents: list[bytes], how: Photos, missing: tuple[str, ...] = UNDIVIDED) -> list[int]:
    """The splits of `contents`, all of which the folder has in train."""
    given = ["train"] * len(contents)
    members = division.divided(given, drawn(contents, how.seed), how, missing=missing)
    return [int(member) for member in members]


def test_a_draw_is_what_it_has_always_been() -> None:
    """Another would move photos of everybody's from training to test."""
    assert division.draw(b"photo", 1) == 0.5675607344684863
    assert division.draw(b"photo", 2) == 0.4022838341347317


def test_draws_are_spread_evenly() -> None:
    tenths = np.bincount((drawn(CONTENTS) * 10).astype(int))
    assert len(tenths) == 10
    assert tenths.min() > 150
    assert tenths.max() < 250  # 200 fair draws: outside once in 10,000 seeds


def test_seed_and_content_are_not_mixed_up() -> None:
    assert division.draw(b"2\nphoto", 1) != division.draw(b"photo", 12)
    assert division.draw(b"1photo", 1) != division.draw(b"photo", 11)


@pytest.mark.parametrize(
    ("missing", "shares"),
    [
        (("validation", "test"), {TRAIN: 0.7, VALIDATION: 0.1, TEST: 0.2}),
        (("validation",), {TRAIN: 0.9, VALIDATION: 0.1}),
        (("test",), {TRAIN: 0.8, TEST: 0.2}),
        ((), {TRAIN: 1.0}),
    ],
)
def test_splits_that_are_missing_get_their_shares(
    missing: tuple[str, ...], shares: dict[int, float]
) -> None:
    members = divided(CONTENTS, settings(), missing)
    assert set(members) == set(shares)
    for place, share in shares.items():
        assert np.mean(np.array(members) == place) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(
    ("number", "place"),
    [(0.0, TEST), (0.25, VALIDATION), (0.249, TEST), (0.749, VALIDATION), (0.75, TRAIN)],
)
def test_a_share_has_its_beginning_but_not_its_end(number: float, place: int) -> None:
    how = settings(validation=0.5, test=0.25)
    assert division.divided(["train"], np.array([number]), how, missing=UNDIVIDED) == [place]


def test_photos_stay_in_the_splits_of_the_folder() -> None:
    given = [splits.NAMES[number % 3] for number in range(300)]
    numbers = drawn(CONTENTS[:300])
    members = division.divided(given, numbers, settings(), missing=())
    assert members.tolist() == [number % 3 for number in range(300)]
    # Of train alone some are taken where a split is missing.
    given = [("train", "test")[number % 2] for number in range(300)]
    members = division.divided(given, numbers, settings(), missing=("validation",))
    assert set(members[1::2]) == {TEST}
    assert set(members[::2]) == {TRAIN, VALIDATION}


def test_a_photo_that_is_added_or_taken_away_or_comes_elsewhere_moves_no_other() -> None:
    before = dict(zip(CONTENTS, divided(CONTENTS, settings()), strict=True))
    others = [*CONTENTS[999::-1], b"new", *CONTENTS[1001:]]
    after = dict(zip(others, divided(others, settings()), strict=True))
    del after[b"new"], before[CONTENTS[1000]]
    assert after == before


def test_another_seed_divides_otherwise() -> None:
    one, other = (np.array(divided(CONTENTS, settings(seed=seed))) for seed in (1, 2))
    # As by chance: 0.7² + 0.1² + 0.2² of them stay.
    assert (one == other).mean() == pytest.approx(0.54, abs=0.05)


def test_a_larger_share_for_validation_leaves_the_test_photos() -> None:
    few, many = (np.array(divided(CONTENTS, settings(validation=v))) for v in (0.1, 0.3))
    assert ((few == TEST) == (many == TEST)).all()
    assert (many[few == VALIDATION] == VALIDATION).all()


def test_of_copies_test_keeps_its_own_and_train_none() -> None:
    alike = np.random.default_rng(1).integers(256, size=(4, 8, 8, 3), dtype=np.uint8)
    images = alike[[0, 0, 0, 1, 1, 2, 2, 2, 3, 3]]
    members = np.array(
        [TRAIN, VALIDATION, TEST, TRAIN, VALIDATION, TRAIN, TRAIN, TEST, TRAIN, TRAIN]
    )
    before = members.copy()
    assert division.without_copies(members, images).tolist() == [
        *(DROPPED, DROPPED, TEST),
        *(DROPPED, VALIDATION),
        *(DROPPED, DROPPED, TEST),
        *(TRAIN, TRAIN),  # copies within a split stay
    ]
    assert members.tolist() == before.tolist()


def test_copies_within_a_split_to_measure_by_stay() -> None:
    images = np.zeros((4, 8, 8, 3), np.uint8)
    members = np.array([TEST, TEST, VALIDATION, TRAIN])
    assert division.without_copies(members, images).tolist() == [TEST, TEST, DROPPED, DROPPED]


def test_photos_that_differ_in_one_level_are_no_copies() -> None:
    images = np.zeros((2, 8, 8, 3), np.uint8)
    images[1, 7, 7, 2] = 1
    members = np.array([TRAIN, TEST])
    assert division.without_copies(members, images).tolist() == [TRAIN, TEST]


def test_every_class_that_a_split_lacks_is_named() -> None:
    members = np.array([TRAIN, VALIDATION, TEST, TRAIN, TRAIN, DROPPED])
    labels = np.array([0, 0, 0, 1, 1, 1])
    division.expect_all(members[:3], labels[:3], ["cat"], "photos")
    with pytest.raises(PipelineError) as caught:
        division.expect_all(members, labels, ["cat", "dog"], "photos")
    assert str(caught.value).splitlines() == [
        f"photos: class 'dog': expected at least one of its 3 photos in {split}, found none; add "
        "photos, or change the shares, the seed or the duplicates of dataset"
        for split in ("validation", "test")
    ]
