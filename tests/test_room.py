"""What photos need of memory: told before they are read, and refused where there is less."""

import re
from pathlib import Path
from typing import Any

import pytest
import workspace
from conftest import PROJECT

from pipeline import __main__ as dispatch
from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.datasets.config import ImageFolderConfig
from pipeline.fetch import stage as fetch
from pipeline.tools import environment, memory, room, schema

GIB = memory.GIB


def dataset(**settings: Any) -> ImageFolderConfig:
    """Photos of 64 pixels, a tenth each for validation and test."""
    known = {
        "kind": "photos",
        "folder": "data/photos",
        "side": 64,
        "framing": "centre",
        "validation_share": 0.1,
        "test_share": 0.1,
        "seed": 1,
        "duplicates": "drop",
    }
    return ImageFolderConfig(**{**known, **settings})


def photos(**counts: int) -> dict[str, dict[str, tuple[Path, ...]]]:
    """So many photos of each of two classes in each split."""
    return {
        split: {name: (Path("photo.jpg"),) * count for name in ("rose", "tulip")}
        for split, count in counts.items()
    }


def test_splits_without_a_folder_get_their_share_of_train() -> None:
    counts = {"train": 160, "validation": 20, "test": 20}
    assert room.expected(photos(train=100), dataset()) == counts
    counts = {"train": 180, "validation": 20, "test": 10}
    assert room.expected(photos(train=100, test=5), dataset()) == counts
    given = {"train": 200, "validation": 6, "test": 4}
    assert room.expected(photos(train=100, validation=3, test=2), dataset()) == given


def test_20_000_photos_of_64_pixels_need_less_than_4_gib() -> None:
    # Measured: 3.76 on two threads, 4.03 on eight.
    assert room.needed(20_000, 64) == pytest.approx(3.98 * GIB, rel=0.005)
    assert room.needed(20_000, 64) < 4 * GIB < room.needed(20_000, 66)


def test_says_how_many_photos_of_which_size_need_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "allowed", lambda: 8 * GIB)
    assert room.check(photos(train=10_000, test=2_000), dataset()) == (
        "24,000 photos of 2 classes, 64 pixels a side: training needs up to 4.0 GiB of memory, "
        "8.0 GiB are here"
    )


def test_refuses_more_than_there_is_with_the_largest_side_that_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "allowed", lambda: 4 * GIB)
    found = photos(train=10_000, test=2_000)
    with pytest.raises(
        PipelineError, match=r"params\.yaml: dataset\.side: .*20,000 .* of 96"
    ) as no:
        room.check(found, dataset(side=96))
    largest = re.search(r"at most (\d+), found 96; lower it", str(no.value))
    assert largest
    room.check(found, dataset(side=int(largest[1])))
    with pytest.raises(PipelineError, match=f"at most {largest[1]}, found"):
        room.check(found, dataset(side=int(largest[1]) + 1))


@pytest.mark.parametrize("gib", [1.0, 2.2])
def test_refuses_photos_of_which_no_side_fits(monkeypatch: pytest.MonkeyPatch, gib: float) -> None:
    monkeypatch.setattr(memory, "allowed", lambda: int(gib * GIB))
    with pytest.raises(PipelineError, match="even 16 is too much; take fewer photos"):
        room.check(photos(train=200_000), dataset())


@pytest.fixture
def own_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, whose params.yaml names four photos of two classes."""
    params = workspace.read_params(PROJECT)
    params["dataset"] = dataset(folder="photos").model_dump()
    workspace.write_params(tmp_path, params)
    for path in ("rose/a.png", "rose/b.png", "tulip/a.png", "tulip/b.png"):
        (tmp_path / "photos" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / path).touch()
    monkeypatch.setattr(environment, "PINS", ())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("own_photos")
def test_room_is_looked_at_before_preprocess_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def works(arguments: list[str]) -> None:
        print("stage at work")

    monkeypatch.setattr("pipeline.datasets.preprocess.main", works)
    dispatch.main(["preprocess"])
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("preprocess: 4 photos of 2 classes, 64 pixels a side: training needs")
    assert second == "stage at work"
    monkeypatch.setattr(memory, "allowed", lambda: GIB)
    with pytest.raises(PipelineError, match=r"dataset\.side"):
        dispatch.main(["preprocess"])
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("own_photos")
def test_photos_are_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "main", lambda arguments: None)
    with pytest.raises(PipelineError, match=r"expected dataset\.kind cifar10 .*`dvc freeze fetch`"):
        dispatch.main(["fetch"])


@pytest.mark.usefixtures("own_photos")
def test_only_cifar10_needs_the_settings_of_fetch() -> None:
    params = params_file.read()
    params.pop("fetch", None)
    schema.check(params)
    params["dataset"] = {"kind": "cifar10", "folder": "data/raw", "seed": 1} | {
        "train_images": 45_000,
        "validation_images": 5_000,
    }
    with pytest.raises(PipelineError, match=r"^params\.yaml: fetch: missing key"):
        schema.check(params)
