"""The order, the time left and the partial comparisons of `make repro`, with stub stages."""

import json
from pathlib import Path

import pytest
import workspace

from pipeline.core import files, paths
from pipeline.tools import environment

SEEDS = ("fast_2", "fast_3")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three variants and two further seeds, whose trainings have recorded times."""
    folder = workspace.copy_project(tmp_path / "project")
    workspace.with_stub_stages(folder, "fast", *SEEDS, "final", "sprint")
    monkeypatch.chdir(folder)
    for stage, seconds in {"train@final": 60.0, "train@sprint": 10.0, "train@fast": 30.0}.items():
        files.write_json(environment.path(stage), {"seconds": seconds})
    return folder


def run(project: Path, *arguments: str) -> tuple[list[str], str]:
    """The commands of `python -m pipeline.tools.repro`, and what it prints."""
    log = Path("ran.txt")
    log.write_text("")
    output = workspace.run(project, "python", "-m", "pipeline.tools.repro", *arguments)
    return log.read_text().split(), output


def test_short_trainings_come_first_and_what_has_ended_is_compared(project: Path) -> None:
    commands, output = run(project)
    assert commands[:3] == ["fetch", "preprocess", "explore"]
    assert commands[3:] == [
        *("train@sprint", "evaluate@sprint", "compare", "page"),
        *("train@fast", "evaluate@fast", "compare", "page", "export"),
        *("train@final", "evaluate@final", "compare", "page"),
    ]
    lines = [line for line in output.splitlines() if line.startswith("[")]
    assert len(lines) == 12
    assert lines[3] == "[4/12] train@sprint, last time 10 s; 1 min 40 s left"
    assert lines[5] == "[6/12] train@fast, last time 30 s; 1 min 30 s left"
    assert lines[9] == "[10/12] evaluate@final, last time unknown; unknown left"
    assert run(project) == ([], "everything is up to date\n")


def test_trained_variants_are_listed_at_the_end(project: Path) -> None:
    """Not one that DVC restored."""
    with (project / "pipeline/__main__.py").open("a") as stub:
        stub.write(
            "from pipeline.tools.environment import record\n"
            "if sys.argv[1] == 'train': record('@'.join(sys.argv[1:]), 61.0)\n"
        )
    _, output = run(project, "evaluate@sprint")
    accuracy = json.loads(paths.metrics("sprint").read_text())["accuracy"]
    assert output.endswith(f"\nsprint        test accuracy {accuracy:.4f}     1 min 1 s\n")
    for path in (paths.model("sprint"), paths.metrics("sprint")):
        path.unlink()
    _, output = run(project, "evaluate@sprint")
    assert "train@sprint, last time 1 min 1 s" in output
    assert "test accuracy" not in output


def test_only_the_named_stages_run(project: Path) -> None:
    commands, _ = run(project, "evaluate@final", "evaluate@sprint")
    trained = [f"{stage}@{name}" for name in ("sprint", "final") for stage in ("train", "evaluate")]
    assert commands == ["fetch", "preprocess", *trained]


def test_seeds_are_trained_by_a_command_of_their_own_and_deleted_when_stale(project: Path) -> None:
    run(project)
    commands, _ = run(project, "--seeds")
    assert {name for name in commands if "@" in name} == {
        f"{stage}@{seed}" for stage in ("train", "evaluate") for seed in SEEDS
    }
    lock = Path("dvc.lock").read_bytes()
    for seed in SEEDS:  # as in a clone, which has the results but not the models
        paths.model(seed).unlink()
    workspace.run(project, "dvc", "gc", "--workspace", "--force", "--quiet")
    paths.metrics("final").unlink()
    run(project)
    assert all(paths.metrics(seed).exists() for seed in SEEDS)
    assert Path("dvc.lock").read_bytes() == lock

    params = workspace.read_params(project)
    params["recipes"]["fast"]["epochs"] = 3
    workspace.write_params(project, params)
    commands, output = run(project)
    assert "train@fast" in commands
    assert not any(paths.metrics(seed).exists() for seed in SEEDS)
    assert all(f"{seed}: deleted" in output for seed in SEEDS)


def test_prune_deletes_what_variants_left_and_the_way_back_works(project: Path) -> None:
    run(project)
    workspace.commit(project)
    left = [project / paths.checkpoint("sprint"), project / paths.checkpoint("never_ended")]
    left[0].parent.mkdir()
    for path in left:
        path.touch()
    before = {path for path in project.rglob("*sprint*") if ".dvc" not in path.parts}
    lock = Path("dvc.lock").read_bytes()
    assert len(before) == 5
    workspace.drop_variants(project, "sprint")
    output = workspace.run(project, "python", "-m", "pipeline.tools.repository", "prune")
    assert not [path for path in project.rglob("*sprint*") if ".dvc" not in path.parts]
    assert b"@sprint" not in Path("dvc.lock").read_bytes()
    assert "deleted models/sprint.keras\n" in output
    assert f"deleted {paths.metrics('sprint')}\n" in output
    assert list(left[0].parent.iterdir()) == []
    assert run(project)[0] == ["compare", "page"]

    workspace.run(project, "git", "checkout", "--quiet", ".")
    workspace.run(project, "dvc", "checkout", "--quiet", "--allow-missing")
    after = {path for path in project.rglob("*sprint*") if ".dvc" not in path.parts}
    assert after == before - set(left)
    assert Path("dvc.lock").read_bytes() == lock
    assert workspace.run(project, "git", "status", "--short") == ""
    assert run(project)[0] == []


def test_stages_of_one_machine_need_no_dask() -> None:
    code = "import sys, pipeline.tools.repro; sys.exit('distributed' in sys.modules)"
    workspace.run_code(code)
