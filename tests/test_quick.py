"""`make quick`: a small copy of the project."""

from pathlib import Path

import workspace
from conftest import PROJECT

from pipeline.core.params import read_params
from pipeline.page import training_times
from pipeline.tools import config, quick


def test_recipes_and_networks_get_small_and_nothing_else_changes() -> None:
    params = read_params(PROJECT / "params.yaml")
    params["recipes"]["added"] = params["recipes"]["fast"] | {"epochs": 99}
    params["temperatures"]["added"] = 1.0
    params["variants"]["added"] = params["variants"]["baseline"] | {"widths": [4, 999]}
    small = quick.quick_params(params)
    config.check(small)
    assert small["variants"]["added"]["widths"] == [4, 16]
    assert {recipe["epochs"] for recipe in small["recipes"].values()} == {1}
    assert small["dataset"]["train_images"] == 4000
    changed = {
        "recipes": ["epochs", "progressive_resizing"],
        "variants": ["widths"],
        "test_time_augmentation": ["shift"],
    }
    for section, keys in changed.items():
        for name, settings in small[section].items():
            settings |= {key: params[section][name][key] for key in keys}
    small["dataset"] |= {key: params["dataset"][key] for key in quick.IMAGES}
    assert small == params
    photos = {"kind": "photos", "folder": "data/photos"}
    assert quick.quick_params(params | {"dataset": photos})["dataset"] == photos


def test_what_git_would_hold_is_copied_without_results(tmp_path: Path) -> None:
    project, folder = tmp_path / "project", tmp_path / "project/.quick"
    content = {
        "params.yaml": (PROJECT / "params.yaml").read_text(encoding="utf-8"),
        ".gitignore": "/data/raw\n/data/processed\n/.quick/\n",
        **dict.fromkeys([".dvc/config", "pipeline/a.py", "data/photos.dvc"], ""),
        **dict.fromkeys(["dvc.lock", "reports/table.csv", ".quick/pipeline/old.py"], "old"),
        **dict.fromkeys(["data/raw/batch.bin", "data/processed/train.npz"], ""),
    }
    for name, text in content.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    workspace.run(project, "git", "init", "--quiet")
    workspace.run(project, "git", "add", ".")
    (project / "pipeline/untracked.py").touch()
    quick.prepare(folder, project=project)
    copied = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert copied == {
        *("params.yaml", ".gitignore", ".dvc/config", ".dvc/config.local"),
        *("pipeline/a.py", "pipeline/untracked.py", "data/raw/batch.bin"),
        "reports/training_times.csv",
    }
    assert training_times.read_training_times(folder).empty
    small = quick.quick_params(read_params(project / "params.yaml"))
    assert read_params(folder / "params.yaml") == small
