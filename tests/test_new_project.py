"""`make study`: a project of its own for a folder of photos, whole or not there. `make quick`."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import workspace
import yaml
from conftest import PROJECT
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.core.params import read_params
from pipeline.tools import config, new_project

COLOURS = {"dahlia": (200, 40, 60), "rose & thorn": (220, 180, 30), "Tülpe": (110, 40, 180)}
TEMPLATE = new_project.from_template(read_params(PROJECT / "params.yaml"))


def make_photos(folder: Path, each: int) -> Path:
    """So many photos of each class, a colour each, and a file that is none."""
    generator = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            noise = generator.normal(0, 40, (48, 40 + number, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.jpg")
    (folder / ".DS_Store").touch()
    return folder


def relative(folder: Path) -> set[str]:
    """The files below `folder`."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The new project, under a user's settings: git ignores what it needs, DVC links photos."""
    folder = tmp_path_factory.mktemp("new_project")
    make_photos(folder / "flowers", each=10)
    for name, text in {
        "ignored": "*.lock\n*.csv\ndata/\ndocs/\n*.yaml\n",
        ".gitconfig": f"[core]\n    excludesFile = {folder}/ignored\n",
        ".config/dvc/config": "[cache]\n    type = symlink\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        enter(patch)
        patch.setenv("HOME", str(folder))
        patch.setenv("DVC_SITE_CACHE_DIR", str(folder / "site"))
        new_project.study("~/My flowers", str(folder / "flowers"), "48")
    return folder / "My flowers"


def enter(patch: pytest.MonkeyPatch) -> None:
    """Into the project, with a name for commits."""
    patch.chdir(PROJECT)
    for name, value in workspace.environment().items():
        patch.setenv(name, value)


def test_photos_are_copied_and_tracked(made: Path) -> None:
    source = made.parent / "flowers"
    assert relative(made / "data/photos") == relative(source) - {".DS_Store"}
    for name in relative(made / "data/photos"):
        copy, original = made / "data/photos" / name, source / name
        assert copy.read_bytes() == original.read_bytes()
        assert not copy.is_symlink()
        assert original.stat().st_mode & 0o200, "DVC made a photo of the user's read-only"
    assert "up to date" in workspace.run(made, "dvc", "status", "data/photos.dvc")


def test_code_is_committed_and_results_stay_behind(made: Path) -> None:
    assert workspace.run(made, "git", "status", "--porcelain") == ""
    assert workspace.run(made, "git", "rev-list", "--count", "HEAD") == "1\n"
    files = set(workspace.run(made, "git", "-c", "core.quotePath=no", "ls-files").splitlines())
    on_disk = {name for name in relative(made) if name[:5] != ".git/"}
    assert files == {n for n in on_disk if not re.match(r"data/photos/|\.dvc/(cache|tmp)/", n)}
    assert not [name for name in files if name.startswith("reports/")]
    assert files >= {"LICENSE", "Makefile", "pipeline/networks/cnn.py", "docs/photos.md"}
    assert not {"dvc.lock", "CHANGELOG.md", "README.md"} & files
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))
    del stages["stages"]["fetch"]
    assert yaml.safe_load((made / "dvc.yaml").read_text(encoding="utf-8")) == stages


def test_params_are_the_project_s_and_the_template_s_fitted_to_the_photos(made: Path) -> None:
    params, project = read_params(made / "params.yaml"), read_params(PROJECT / "params.yaml")
    config.check(params)
    assert params["dataset"] == TEMPLATE["dataset"] | {"side": 48}
    assert params["page"] == project["page"] | {
        "variant": "best",
        "compared_with": ["final", "quick"],
    }
    assert params["variants"] == TEMPLATE["variants"]
    assert list(params["variants"]) == ["quick", "final", "best", "pretrained", "fine_tuned"]
    quick = {"recipe": "quick", "widths": [32, 64, 64]}
    assert params["variants"]["quick"] == project["variants"]["fast"] | quick
    assert params.keys() == project.keys()
    assert {key for key in params if params[key] == project[key]} >= {"compare", "numerics"}
    assert [recipe["epochs"] for recipe in TEMPLATE["recipes"].values()] == [30, 60, 8, 8, 28]
    assert params["recipes"]["study"]["epochs"] == 120  # of 30 photos, four times as many
    text = (made / "params.yaml").read_text(encoding="utf-8")
    assert "    early_stopping:            # null, or patience" in text
    assert "  # `network`, `optimizer` and" in text


@pytest.mark.parametrize(
    ("photos", "side", "expected"),
    [
        (40, 64, (32, 112, {"px32": 48, "px48": 32})),
        (1_000, 64, (64, 24, {"px32": 10, "px48": 7})),
        (3_409, 64, (256, 28, {"px32": 12, "px48": 8})),
        (20_000, 64, (256, 14, {"px32": 6, "px48": 4})),
        (3_409, 32, (256, 28, {})),
    ],
)
def test_recipes_suit_few_photos_and_many(
    photos: int, side: int, expected: tuple[int, int, dict[str, int]]
) -> None:
    chosen = TEMPLATE["recipes"]["best"]
    recipe = chosen | {"progressive_resizing": dict(chosen["progressive_resizing"])}
    new_project.fit_recipe(recipe, photos, side)
    assert (recipe["batch_size"], recipe["epochs"], recipe["progressive_resizing"]) == expected
    ratio = recipe["batch_size"] / chosen["batch_size"]
    for key in ("bias_learning_rate", "head_learning_rate", "parallel_micro_batches"):
        assert recipe[key] == chosen[key] * ratio
    assert recipe["learning_rate"] == {32: 0.1583, 64: 0.1819, 256: 0.24}[recipe["batch_size"]]


@pytest.fixture
def flowers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photos, and others that cannot be used."""
    enter(monkeypatch)
    make_photos(tmp_path / "flowers", each=9)
    shutil.copytree(tmp_path / "flowers", tmp_path / "empty class")
    (tmp_path / "empty class/empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "source", "side", "message"),
    [
        ("", "flowers", "64", "usage"),
        ("new", "", "64", "usage"),
        ("flowers", "flowers", "64", "^DIR"),
        ("empty class", "flowers", "64", "^DIR"),
        ("flowers/new", "flowers", "64", "^DIR"),
        (str(PROJECT / "new"), "flowers", "64", "^DIR"),
        ("new", "flowers", "24", r"variants\.final: .*24"),
        ("new", "flowers", "large", r"dataset\.side"),
        ("new", "empty class", "64", "'empty'"),
    ],
)
def test_impossible_arguments_are_refused(
    flowers: Path, folder: str, source: str, side: str, message: str
) -> None:
    before = relative(flowers)
    paths = [str(flowers / name) if name else "" for name in (folder, source)]
    with pytest.raises(PipelineError, match=message):
        new_project.study(*paths, side)
    assert relative(flowers) == before


def test_an_interrupted_run_leaves_nothing(flowers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path) -> None:
        assert (folder / "params.yaml").exists()
        raise SystemExit(130)

    monkeypatch.setattr(new_project, "commit", interrupted)
    before = relative(flowers)
    with pytest.raises(SystemExit):
        new_project.study(str(flowers / "new"), str(flowers / "flowers"), "64")
    assert relative(flowers) == before


def test_quick_makes_recipes_and_networks_small_and_changes_nothing_else() -> None:
    params = read_params(PROJECT / "params.yaml")
    params["variants"]["baseline"]["widths"] = [4, 999]
    backbone = {"weights": "efficientnet_lite0", "trained_stages": 0, "side": 224, "batch_size": 8}
    params["backbones"] = {"frozen": backbone}
    small = new_project.quick_params(params)
    config.check(small)
    assert params["recipes"]["study"]["epochs"] == 30
    for recipe in params["recipes"].values():
        recipe |= {"epochs": 1, "progressive_resizing": {}}
    for variant in params["variants"].values():
        variant["widths"] = [4, 16] if 4 in variant["widths"] else [16] * len(variant["widths"])
    backbone["side"] = 32
    for views in params["test_time_augmentation"].values():
        views["shift"] = 0
    photos = {"kind": "photos", "folder": "data/photos"}
    assert new_project.quick_params(params | {"dataset": photos}) == params | {"dataset": photos}
    params["dataset"] |= {"train_images": 4000, "validation_images": 1000}
    assert small == params


def test_quick_copies_what_git_would_hold_without_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.datasets.fetch.main", lambda _: None)
    content = {
        "params.yaml": (PROJECT / "params.yaml").read_text(encoding="utf-8"),
        ".gitignore": "/data/raw\n/data/processed\n/.quick/\n",
        **dict.fromkeys([".dvc/config", "pipeline/a.py", "data/photos.dvc"], ""),
        **dict.fromkeys(["dvc.lock", "reports/table.csv", ".quick/pipeline/old.py"], "old"),
        **dict.fromkeys(["data/raw/batch.bin", "data/processed/train.npz"], ""),
        "data/weights/network.whl": "",
    }
    for name, text in content.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    workspace.run(tmp_path, "git", "init", "--quiet")
    workspace.run(tmp_path, "git", "add", ".")
    Path("pipeline/untracked.py").touch()
    new_project.quick()
    assert relative(new_project.QUICK) == {
        *("params.yaml", ".gitignore", ".dvc/config", ".dvc/config.local"),
        *("pipeline/a.py", "pipeline/untracked.py", "data/raw/batch.bin"),
        "data/weights/network.whl",
    }
    small = new_project.quick_params(read_params())
    assert read_params(new_project.QUICK / "params.yaml") == small
