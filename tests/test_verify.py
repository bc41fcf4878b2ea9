"""`make verify` on small repositories with committed results, most of them made by stub stages."""

import json
import re
from pathlib import Path

import declared
import pytest
import verifying
import workspace
import yaml

from pipeline import verify


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return verifying.committed(tmp_path_factory.mktemp("verify") / "project")


@pytest.fixture
def project(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return verifying.copied(committed, tmp_path / "project", monkeypatch)


def test_same_bytes(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = verifying.content(project)

    assert verify.main(["baseline", "--full"]) == 0

    out = capfd.readouterr().out
    assert out.splitlines()[-1] == (
        "verify: you get the committed results: baseline: same bytes in full"
    )
    stages = declared.stages(project)
    for name in ("preprocess", "train@baseline", "evaluate@baseline"):
        for path in stages[name].outs:
            assert re.search(rf"^{path} +(\w{{12}}) +\1 +same$", out, re.M), path
    assert "nothing recorded about the machine differs" in out
    assert "GPU" not in out
    assert "left out" not in out
    assert verifying.content(project) == before
    assert not verifying.temporary(project)


def test_other_bytes_within_the_tolerance(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUB_DRIFT", "0.001")

    assert verify.main(["baseline", "--full"]) == 0

    out = capfd.readouterr().out
    assert "get the committed results: baseline: same results (other bytes; accuracy within" in out
    assert re.search(r"^models/baseline.keras +(\w{12}) +(?!\1)\w{12} +differs$", out, re.M)
    assert re.search(r"^data/processed/train.npz .* same$", out, re.M)
    assert re.search(r"^test accuracy +0.5000 +0.5010 +\+0.0010, within 0", out, re.M)
    assert re.search(r"^test loss +1.0000 +0.9990 +-0.0010, within 0", out, re.M)
    assert "  this has a GPU\n" in out


@pytest.mark.parametrize("drift", ["0.2", "-0.2"])
def test_results_beyond_the_tolerance_fail(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], drift: str
) -> None:
    monkeypatch.setenv("STUB_DRIFT", drift)

    assert verify.main(["baseline", "--full"]) == 1

    out = capfd.readouterr().out
    assert "you do not get the committed results: baseline: different results in full" in out
    assert re.search(r"^test accuracy .* [+-]0.2000, more than 0", out, re.M)


def test_other_data_is_other_bytes(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["preprocess"]["seed"] += 1
    workspace.write_params(project, params)
    verifying.commit(project)

    assert verify.main(["baseline", "--full"]) == 0

    out = capfd.readouterr().out
    assert re.search(r"^data/processed/test.npz .* differs$", out, re.M)
    assert "same results" in out
    assert "params.yaml: preprocess is not what the committed results were made from" in out


def test_every_variant_named_or_all_of_them(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    kept = {name: params["variants"][name] for name in verifying.VARIANTS}
    workspace.write_params(project, params | {"variants": kept})
    verifying.commit(project)
    for names in (["final", "baseline", "final", "fast"], ["all"]):
        assert verify.main([*names, "--full"]) == 0
        out = capfd.readouterr().out
        assert out.count("stub preprocess") == 1
        assert out.count("stub train") == len(verifying.VARIANTS)
        for name in verifying.VARIANTS:
            assert f"{name}: same bytes in full" in out.splitlines()[-1]


def test_one_different_variant_among_several_is_enough_to_fail(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = Path("reports/final/metrics.json")
    path.write_text(path.read_text().replace('"accuracy": 0.5', '"accuracy": 0.6'))
    verifying.lock(project)
    verifying.commit(project)

    assert verify.main(["baseline", "final", "--full"]) == 1

    assert capfd.readouterr().out.splitlines()[-1] == (
        "verify: you do not get the committed results: baseline: same bytes in full; "
        "final: different results in full"
    )


@pytest.mark.parametrize(
    ("drift", "epochs", "status", "said"),
    [
        ("0", 1, 0, "get the committed results: baseline: same history for the first 1 of 5"),
        ("0", 4, 0, "get the committed results: baseline: same history for the first 4 of 5"),
        ("0.2", 2, 0, "get the committed results: baseline: same history for the first 2 of 5"),
        ("0.001", 4, 0, "get the committed results: baseline: same results (other bytes;"),
        ("0.2", 4, 1, "do not get the committed results: baseline: different results for the"),
    ],
)
def test_a_training_is_stopped_when_its_time_is_up_and_an_epoch_has_ended(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    drift: str,
    epochs: int,
    status: int,
    said: str,
) -> None:
    monkeypatch.setenv("STUB_DRIFT", drift)
    monkeypatch.setenv("STUB_LASTING", str(epochs))

    assert verify.main(["baseline", "--minutes", "0.0001"]) == status

    out = capfd.readouterr().out
    assert f"verify: stopped baseline after {epochs} epochs" in out
    assert said in out.splitlines()[-1]
    other = " (other from 3 on) " if epochs > 2 and drift != "0" else " "
    assert f"history, epochs 1 to {epochs}{other}" in out
    assert f"validation accuracy in epoch {epochs} " in out
    assert re.search(r"^data/processed/train.npz .* same$", out, re.M)
    assert "models/baseline.keras" not in out
    assert "stub evaluate" not in out
    assert not verifying.temporary(project)


def test_a_stopped_training_without_validation_is_judged_by_its_training(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUB_DRIFT", "0.001")
    monkeypatch.setenv("STUB_LASTING", "4")

    assert verify.main(["fast", "--minutes", "0.0001"]) == 0

    out = capfd.readouterr().out
    assert re.search(r"^training accuracy in epoch 4 +0.6080 +0.6090 ", out, re.M)
    assert re.search(r"^training loss in epoch 4 +0.6040 +0.6050 ", out, re.M)
    assert "validation" not in out.partition("data/processed/test.npz")[2]


def test_a_training_that_ends_in_time_is_compared_in_full(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert verify.main(["baseline", "--minutes", "5"]) == 0
    assert "baseline: same bytes in full" in capfd.readouterr().out.splitlines()[-1]


def test_only_what_is_committed_counts(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("params.yaml").write_text("broken")
    Path("new.py").touch()
    before = verifying.content(project)

    assert verify.main(["baseline", "--full"]) == 0

    out = capfd.readouterr().out
    assert "verify: not committed, so left out: params.yaml, new.py\n" in out
    assert "same bytes in full" in out
    assert verifying.content(project) == before


def test_raw_files_of_the_project_spare_a_download(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipeline.fetch.missing", lambda folder: {})
    verify.main(["baseline", "--full"])
    assert f"stub fetch {project}/data/raw\n" in capfd.readouterr().out


def test_code_that_the_results_were_not_made_with_is_named(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Path("pipeline/fit.py").open("a") as file:
        file.write("# changed\n")
    verifying.commit(project)

    assert verify.main(["baseline", "--full"]) == 0

    out = capfd.readouterr().out
    assert "  pipeline/fit.py is not what the committed results were made from\n" in out
    assert "requirements" not in out


def test_small_number_is_read_as_dvc_reads_it(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """DVC writes 1e-05, which YAML 1.1 takes for text."""
    for path in (Path("params.yaml"), Path("dvc.lock")):
        text = path.read_text()
        assert "learning_rate: 0.001\n" in text
        path.write_text(text.replace("learning_rate: 0.001\n", "learning_rate: 1e-05\n"))
    verifying.commit(project)

    assert verify.main(["baseline", "--full"]) == 0

    assert "nothing recorded about the machine differs" in capfd.readouterr().out


@pytest.mark.parametrize("damaged", ["[]", "{", '{"libraries": 1}'])
def test_damaged_record_of_the_machine_says_nothing(
    project: Path, capfd: pytest.CaptureFixture[str], damaged: str
) -> None:
    Path("reports/runs/train@baseline.json").write_text(damaged)
    verifying.commit(project)

    assert verify.main(["baseline", "--full"]) == 0

    assert "  keras: not recorded when committed, " in capfd.readouterr().out


def test_another_machine_is_described(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = Path("reports/runs/train@baseline.json")
    run = json.loads(path.read_text())
    then = run | {"processor": "Z80", "libraries": run["libraries"] | {"keras": "2.0"}}
    path.write_text(json.dumps(then))
    verifying.commit(project)

    assert verify.main(["baseline", "--full"]) == 0

    out = capfd.readouterr().out
    assert f"  processor: Z80 when committed, {run['processor']} here\n" in out
    assert f"  keras: 2.0 when committed, {run['libraries']['keras']} here\n" in out
    assert "cores" not in out
