"""`make quick`: a small copy of the project."""

from pathlib import Path

import workspace
from conftest import PROJECT

from pipeline.core.params import read_params
from pipeline.tools import config, new_project


def test_recipes_and_networks_get_small_and_nothing_else_changes() -> None:
    params = read_params(PROJECT / "params.yaml")
    params["variants"]["baseline"]["widths"] = [4, 999]
    small = new_project.quick_params(params)
    config.check(small)
    assert params["recipes"]["study"]["epochs"] == 30
    for recipe in params["recipes"].values():
        recipe |= {"epochs": 1, "progressive_resizing": {}}
    for variant in params["variants"].values():
        variant["widths"] = [4, 16] if 4 in variant["widths"] else [16] * len(variant["widths"])
    for views in params["test_time_augmentation"].values():
        views["shift"] = 0
    photos = {"kind": "photos", "folder": "data/photos"}
    assert new_project.quick_params(params | {"dataset": photos}) == params | {"dataset": photos}
    params["dataset"] |= {"train_images": 4000, "validation_images": 1000}
    assert small == params


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
    new_project.quick_copy(folder, project=project)
    copied = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert copied == {
        *("params.yaml", ".gitignore", ".dvc/config", ".dvc/config.local"),
        *("pipeline/a.py", "pipeline/untracked.py", "data/raw/batch.bin"),
    }
    small = new_project.quick_params(read_params(project / "params.yaml"))
    assert read_params(folder / "params.yaml") == small
