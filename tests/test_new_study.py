"""`make study`: a project of its own for a folder of photos, whole or not there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import workspace
import yaml
from conftest import PROJECT
from dvc.repo import Repo
from PIL import Image

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.data import settings
from pipeline.preprocess import division, folders
from pipeline.tools import git, memory, quick, schema
from pipeline.tools.new_study import __main__ as new_study
from pipeline.tools.new_study import fitted, photos, places, travel

COLOURS = {"dahlia": (200, 40, 60), "rose & thorn": (220, 180, 30), "Tülpe": (110, 40, 180)}
LITTER = (".DS_Store", "rose & thorn/.DS_Store", "Tülpe/Thumbs.db", ".ipynb_checkpoints/a.jpg")
OWN = (PROJECT / "params.yaml").read_text(encoding="utf-8")
TEMPLATE = new_study.TEMPLATE.read_text(encoding="utf-8")


GARMENTS = PROJECT.parent / "shared/clothing"


def make_photos(folder: Path, each: int) -> Path:
    """So many photos of each class, a colour each, and what systems leave beside them."""
    generator = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            noise = generator.normal(0, 40, (48, 40 + number, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.jpg")
    for name in LITTER:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"litter")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The new project, beside the folder `flowers` from which it was made."""
    folder = tmp_path_factory.mktemp("new_study")
    make_photos(folder / "flowers", each=10)
    with pytest.MonkeyPatch.context() as patch:
        enter(patch)
        new_study.main([str(folder / "My flowers"), str(folder / "flowers"), "48"])
    return folder / "My flowers"


def enter(patch: pytest.MonkeyPatch) -> None:
    """Into the project, with a name for commits."""
    patch.chdir(PROJECT)
    for name, value in workspace.environment().items():
        patch.setenv(name, value)


def relative(folder: Path) -> set[str]:
    """The files below `folder`."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_photos_are_copied_without_litter_and_tracked(made: Path) -> None:
    source = made.parent / "flowers"
    assert relative(made / "data/photos") == relative(source) - set(LITTER)
    for name in relative(made / "data/photos"):
        copy, original = made / "data/photos" / name, source / name
        assert copy.read_bytes() == original.read_bytes()
        assert original.stat().st_mode & 0o200, "DVC made a photo of the user's read-only"
        assert not copy.samefile(original)
    tracked = workspace.run(made, "git", "ls-files", "data").split()
    assert tracked == ["data/photos.dvc"]
    assert "up to date" in workspace.run(made, "dvc", "status", "data/photos.dvc")


def test_everything_is_committed_and_nothing_is_left_beside(made: Path) -> None:
    assert workspace.run(made, "git", "status", "--porcelain") == ""
    assert workspace.run(made, "git", "rev-list", "--count", "HEAD") == "1\n"
    assert {path.name for path in made.parent.iterdir()} - {"site"} == {"flowers", "My flowers"}
    assert not (made / "dvc.lock").exists()


def test_dvc_yaml_is_the_project_s_without_fetch(made: Path) -> None:
    new, own = ((root / "dvc.yaml").read_text(encoding="utf-8") for root in (made, PROJECT))
    expected = yaml.safe_load(own)
    expected["stages"].pop("fetch", None)
    assert yaml.safe_load(new) == expected
    assert set(re.findall("#.*", new)) >= set(re.findall("#.*", own[own.index("  preprocess:") :]))
    models = {f"models/{name}.keras" for name in workspace.read_params(made)["variants"]}
    assert {artifact["path"] for artifact in expected["artifacts"].values()} <= models


def test_params_are_whole_and_the_project_s_but_for_the_template(made: Path) -> None:
    new = params_file.read(made / "params.yaml")
    schema.check(new)
    assert isinstance(settings.read(new), settings.Photos)
    assert "fetch" not in new
    assert (new["dataset"]["side"], new["dataset"]["folder"]) == (48, "data/photos")
    assert list(new["variants"]) == ["quick", "final", "best"]
    assert new["page"] == params_file.read(PROJECT / "params.yaml")["page"] | {"variant": "best"}
    kept = fitted.sections(OWN).keys() - fitted.sections(TEMPLATE).keys() - {"fetch", "page"}
    written = (made / "params.yaml").read_text(encoding="utf-8")
    for name in kept:
        assert f"\n\n{fitted.sections(OWN)[name]}\n" in written
    assert re.search(r"(?m)^# 2\d photos to train on, \d for validation\.$", written)
    assert "    early_stopping: null      # or: epochs without" in written


def test_project_has_a_name_of_its_own_and_settings_of_dvc_without_remotes(made: Path) -> None:
    pyproject = (made / "pyproject.toml").read_text(encoding="utf-8")
    assert '\nname = "my-flowers"\n' in pyproject
    assert "CIFAR-10" not in pyproject
    config = (PROJECT / ".dvc/config").read_text(encoding="utf-8")
    remote = "    remote = ours\n['remote \"ours\"']\n    url = s3://ours/photos\n"
    without = travel.without_remotes(config + remote)
    assert "ours" not in without
    assert "analytics = false" in (made / ".dvc/config").read_text(encoding="utf-8")


def test_what_travels_is_complete(made: Path) -> None:
    names = set(workspace.run(made, "git", "ls-files").splitlines())
    assert {name for name in names if name.startswith("reports/")} == {"reports/training_times.csv"}
    assert names >= {"LICENSE", "Makefile", "pipeline/networks/plain.py", "tests/conftest.py"}
    assert not names & {"CHANGELOG.md", "docs/results.md", "tests/test_results.py"}
    for page in (made / "README.md", *(made / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in target and "reports" not in target:
                assert (page.parent / target).exists(), f"{page}: {target}"
    code = "\n".join(path.read_text() for path in (made / "pipeline").rglob("*.py"))
    assert set(re.findall(r"docs/\w+\.md", code)) <= names | {"docs/results.md"}


def test_every_test_that_is_left_behind_exists(made: Path) -> None:
    left = {f"test_{name}" for name in travel.TESTS_LEFT}
    tests = {path.stem for path in (PROJECT / "tests").glob("test_*.py")}
    assert {path.stem for path in (made / "tests").glob("test_*.py")} == tests - left
    assert left < tests


def test_readme_says_what_it_is_and_the_next_step(made: Path) -> None:
    text = (made / "README.md").read_text(encoding="utf-8")
    assert text.startswith(
        "# My flowers\n\n30 photos of 3 classes, divided and learned from at 48 "
    )
    assert "Tülpe, dahlia, rose & thorn" in text or "dahlia, rose & thorn, Tülpe" in text
    assert "next step** is `make repro`" in text


def test_make_quick_copies_the_photos_and_shortens_the_recipes(made: Path, tmp_path: Path) -> None:
    quick.prepare(tmp_path / ".quick", project=made)
    copied = relative(tmp_path / ".quick")
    assert {name for name in copied if name.startswith("data/")} == {
        f"data/photos/{name}" for name in relative(made / "data/photos")
    }
    params = params_file.read(tmp_path / ".quick/params.yaml")
    schema.check(params)
    assert params["dataset"] == params_file.read(made / "params.yaml")["dataset"]
    assert {recipe["epochs"] for recipe in params["recipes"].values()} == {1}


@pytest.mark.parametrize(
    ("photos", "batch", "times"),
    [(40, 32, 4.0), (1_000, 64, 14 / 16), (3_409, 256, 1), (20_000, 256, 0.5)],
)
def test_recipes_suit_few_photos_and_many(photos: int, batch: int, times: float) -> None:
    counts = {"train": photos - photos // 10, "validation": photos // 10, "test": 9}
    new = yaml.safe_load(fitted.text(OWN, TEMPLATE, counts, side=64, seed=7))
    chosen = yaml.safe_load(TEMPLATE)["recipes"]["best"]
    best = new["recipes"]["best"]
    assert new["dataset"]["seed"] == 7
    assert (chosen["batch_size"], best["batch_size"]) == (256, batch)
    assert best["epochs"] == round(chosen["epochs"] * times)
    assert best["growth"] == {key: round(n * times) for key, n in chosen["growth"].items()}
    assert best["bias_learning_rate"] == chosen["bias_learning_rate"] * batch / 256
    assert best["micro_batches_at_once"] == chosen["micro_batches_at_once"] * batch // 256
    unchanged = ("learning_rate", "head_learning_rate", "bias_learning_rate", "batch_size")
    assert [new["recipes"]["study"].get(key) for key in unchanged] == [0.001, None, None, 32]
    schema.check(new)


@pytest.mark.parametrize(
    ("side", "growth"),
    [
        (32, {"px24": 8}),  # of 16 pixels four widths leave none
        (64, {"px32": 12, "px48": 8}),
        (96, {"px48": 12, "px72": 8}),
        (256, {"px128": 12, "px192": 8}),
    ],
)
def test_images_grow_in_proportion_to_the_side(side: int, growth: dict[str, int]) -> None:
    counts = {"train": 3_000, "validation": 409, "test": 9}
    new = yaml.safe_load(fitted.text(OWN, TEMPLATE, counts, side=side, seed=1))
    schema.check(new)
    assert new["recipes"]["best"]["growth"] == growth


def test_seed_gives_every_split_a_photo_of_small_classes(tmp_path: Path) -> None:
    found = folders.find(make_photos(tmp_path / "few", each=9))
    dataset = settings.Photos(**yaml.safe_load(TEMPLATE)["dataset"])
    seed = photos.seed(found, dataset)
    assert seed > 1
    drawn = [
        [division.draw(path.read_bytes(), seed) for path in paths]
        for paths in found["train"].values()
    ]
    # By the shares: validation follows on test.
    assert all(min(own) < 0.1 for own in drawn)
    assert all(any(0.1 <= one < 0.2 for one in own) for own in drawn)
    # Of a single photo no three splits can be made, whatever the seed.
    found = folders.find(make_photos(tmp_path / "fewer", each=1))
    with pytest.raises(PipelineError, match="found 1, and no seed of 1 to 100"):
        photos.seed(found, dataset)


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photos, a file and a folder that is not empty, beside the project."""
    enter(monkeypatch)
    make_photos(tmp_path / "flowers", each=9)
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "source", "side", "message"),
    [
        ("", "flowers", "64", r"^DIR: expected a folder, found nothing: make study DIR=\.\./"),
        ("new", "", "64", r"^PHOTOS: expected a folder, found nothing: make study"),
        ("new", "none", "64", r"^PHOTOS: expected a folder .* found nothing at .*none$"),
        ("new", "file", "64", r"^PHOTOS: expected a folder .* found a file at .*file$"),
        ("full", "flowers", "64", r"^DIR: expected .* does not exist or is empty, found .*full"),
        ("file", "flowers", "64", r"^DIR: expected .* does not exist or is empty, found .*file"),
        ("a/b", "flowers", "64", r"^DIR: .* found no folder .*/a; make it first"),
        (".", "flowers", "64", r"^DIR and PHOTOS: .*flowers inside "),
        ("flowers/new", "flowers", "64", r"^DIR and PHOTOS: .*new inside .*flowers"),
        (str(PROJECT / "flowers"), "flowers", "64", r"^DIR: expected a folder outside the repo"),
        ("new", "flowers", "31", r"^SIDE: expected .* from 32 to 256, found '31'"),
        ("new", "flowers", "large", r"^SIDE: expected .* from 32 to 256, found 'large'"),
    ],
)
def test_what_cannot_be_is_refused(
    asking: Path, folder: str, source: str, side: str, message: str
) -> None:
    before = relative(asking)
    named = [str(asking / name) if name else "" for name in (folder, source)]
    with pytest.raises(PipelineError, match=message):
        new_study.main([*named, side])
    assert relative(asking) == before


def test_home_folder_and_an_empty_folder_are_understood(
    asking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (asking / "new").mkdir()
    monkeypatch.setenv("HOME", str(asking))
    asked = places.checked("~/new", "~/flowers", "64", project=PROJECT)
    assert asked == (asking / "new", asking / "flowers", 64)


def test_odd_photos_and_too_many_are_told_before_anything_is_copied(
    asking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [str(asking / "new"), str(asking / "flowers"), "64"]
    monkeypatch.setattr(memory, "allowed", lambda: 1)
    with pytest.raises(PipelineError, match=r"dataset\.side: training on"):
        new_study.main(arguments)
    (asking / "flowers/empty").mkdir()
    with pytest.raises(PipelineError, match="class 'empty' has no photo in train"):
        new_study.main(arguments)
    assert not list(asking.glob("*new*"))


@pytest.mark.parametrize("interruption", [OSError("No space left"), SystemExit(130)])
def test_what_was_broken_off_leaves_nothing(
    asking: Path, monkeypatch: pytest.MonkeyPatch, interruption: BaseException
) -> None:
    def breaks_off(*arguments: object) -> None:
        assert (asking / ".new.part/params.yaml").exists()
        raise interruption

    monkeypatch.setattr(photos, "copy", breaks_off)
    before = relative(asking)
    with pytest.raises((PipelineError, SystemExit)) as caught:
        new_study.main([str(asking / "new"), str(asking / "flowers"), "64"])
    assert "No space left" in str(caught.value) or caught.type is SystemExit
    assert relative(asking) == before


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """make as a person calls it, with this interpreter's environment as .venv."""
    (folder / ".venv").symlink_to(sys.prefix)
    os.utime(folder / "requirements/lock.txt", (0, 0))  # so that make finds .venv up to date
    kept = workspace.environment()
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={name: kept[name] for name in kept.keys() - {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The project as git would hold it, in a repository of its own."""
    folder = tmp_path / "project"
    for name in git.files(PROJECT):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    workspace.run(folder, "git", "init", "--quiet")
    return folder


def test_make_hands_on_what_it_was_called_with(clone: Path) -> None:
    done = make(clone, "study", "DIR=../a b's", "PHOTOS=no such folder")
    assert done.returncode == 2
    missing = clone / "no such folder"
    assert f"a folder of photos a class, found nothing at {missing}\n" in done.stderr


def test_dvc_reads_its_note_on_the_photos(made: Path) -> None:
    # It passes over a folder of which .gitignore names all that is in it.
    with Repo(str(made)) as repo:
        assert str(made / "data/photos") in {out.fs_path for out in repo.index.outs}


def real_photos(folder: Path) -> Path:
    """Some garments, which nobody here made, in three splits; generated photos where those are not
    at hand."""
    if not GARMENTS.is_dir():
        return make_photos(folder, each=16)
    for split, count in (("train", 24), ("validation", 4), ("test", 6)):
        for name in ("pants", "shoes", "dress"):
            (folder / split / name).mkdir(parents=True)
            for photo in sorted((GARMENTS / split / name).iterdir())[:count]:
                shutil.copy(photo, folder / split / name)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_study_runs_answers_and_passes_its_own_tests(clone: Path) -> None:
    source, folder = real_photos(clone.parent / "photos"), clone.parent / "study"
    done = make(clone, "study", f"DIR={folder}", f"PHOTOS={source}", "SIDE=32")
    assert done.returncode == 0, done.stdout + done.stderr
    params = (folder / "params.yaml").read_text(encoding="utf-8")
    shorter = re.sub(r"(?m)^    epochs: \d+", "    epochs: 2", params)
    (folder / "params.yaml").write_text(shorter, encoding="utf-8")
    done = make(folder, "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "reports/index.html").exists()
    photo = next(source.rglob("*.jpg"))
    said = workspace.run(folder, "python", "-m", "pipeline.predict", str(photo))
    assert photo.parent.name in said  # among three of three classes
    assert "nothing would run" in workspace.run(folder, "python", "-m", "pipeline.tools.plan")
    taken = next((folder / "data/photos").rglob("*.jpg")).rename(folder.parent / "taken.jpg")
    told = workspace.run(folder, "python", "-m", "pipeline.tools.plan")
    assert re.search(r"^will run .*\n  preprocess .*data/photos modified\nmay follow ", told, re.M)
    assert taken.exists()
    workspace.run(folder, "dvc", "checkout", "--force", "data/photos.dvc")
    workspace.run(folder, "python", "-m", "pipeline.tools.cache_check")
    workspace.run(folder, "python", "-m", "pytest", "-q", "--collect-only", "-m", "not slow")
    quick_ones = [f"tests/test_{name}.py" for name in ("declared", "folders", "room", "views")]
    workspace.run(folder, "python", "-m", "pytest", "-q", "-m", "not slow", *quick_ones)
