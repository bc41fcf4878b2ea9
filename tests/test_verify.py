"""`make verify` on small repositories with committed results, most of them made by stub stages."""

import json
from pathlib import Path

import declared
import pytest
import verifying
import workspace
import yaml

from pipeline.tools import verify


def test_same_bytes(verifiable: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = verifying.content(verifiable)

    assert verify.main(["baseline", "--full"]) == 0

    out = capfd.readouterr().out
    assert out.splitlines()[-1] == (
        "verify: you get the committed results: baseline: same bytes in full"
    )
    stages = declared.stages(verifiable)
    for name in ("preprocess", "train@baseline", "evaluate@baseline"):
        for path in stages[name].outs:
            assert f"\n  same     {path}\n" in out
    assert "differs from the committed run:\n  nothing that was recorded about the machine\n" in out
    assert "GPU" not in out
    assert "left out" not in out
    assert verifying.content(verifiable) == before
    assert not verifying.temporary(verifiable)


def test_other_bytes_within_the_tolerance(
    verifiable: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUB_DRIFT", "0.001")

    assert verify.main(["baseline", "--full"]) == 0

    out = capfd.readouterr().out
    assert "get the committed results: baseline: same results (other bytes; accuracy within" in out
    assert "\n  differs  models/baseline.keras\n" in out
    assert "\n  same     data/processed/train.npz\n" in out
    assert "\n  within   test accuracy: 0.5000 committed, 0.5010 here\n" in out
    assert "\n  within   test loss: 1.0000 committed, 0.9990 here\n" in out
    assert "  this has a GPU\n" in out


@pytest.mark.parametrize("drift", ["0.2", "-0.2"])
def test_results_beyond_the_tolerance_fail(
    verifiable: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], drift: str
) -> None:
    monkeypatch.setenv("STUB_DRIFT", drift)

    assert verify.main(["baseline", "--full"]) == 1

    out = capfd.readouterr().out
    assert "you do not get the committed results: baseline: different results in full" in out
    assert "\n  beyond   test accuracy: 0.5000 committed, 0." in out


@pytest.mark.parametrize(("extent", "lasting"), [("--full", ""), ("--minutes=0.0001", "2")])
def test_other_data_is_other_bytes_also_of_a_training_that_is_stopped(
    verifiable: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    extent: str,
    lasting: str,
) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["dataset"]["seed"] += 1
    workspace.write_params(verifiable, params)
    verifying.commit(verifiable)

    monkeypatch.setenv("STUB_LASTING", lasting)

    assert verify.main(["baseline", extent]) == 0

    out = capfd.readouterr().out
    assert "\n  differs  data/processed/test.npz\n" in out
    assert "baseline: same results (other bytes; " in out.splitlines()[-1]
    assert "params.yaml: dataset is not what the committed results were made from" in out


def test_every_variant_named_or_all_of_them(
    verifiable: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    kept = {name: params["variants"][name] for name in verifying.VARIANTS}
    workspace.write_params(verifiable, params | {"variants": kept})
    verifying.commit(verifiable)
    for names in (["final", "baseline", "final", "fast"], ["all"]):
        assert verify.main([*names, "--full"]) == 0
        out = capfd.readouterr().out
        assert out.count("stub preprocess") == 1
        assert out.count("stub train") == len(verifying.VARIANTS)
        for name in verifying.VARIANTS:
            assert f"{name}: same bytes in full" in out.splitlines()[-1]


def test_one_different_variant_among_several_is_enough_to_fail(
    verifiable: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = Path("reports/variants/final/metrics.json")
    path.write_text(path.read_text().replace('"accuracy": 0.5', '"accuracy": 0.6'))
    verifying.lock(verifiable)
    verifying.commit(verifiable)

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
    verifiable: Path,
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
    equal = 2 if epochs > 2 and drift != "0" else epochs
    word = "same   " if equal == epochs else "differs"
    assert f"\n  {word}  history of {epochs} epochs, the same for {equal}\n" in out
    assert f"validation accuracy in epoch {epochs}:" in out
    assert "\n  same     data/processed/train.npz\n" in out
    assert "models/baseline.keras" not in out
    assert "stub evaluate" not in out
    assert not verifying.temporary(verifiable)


def test_a_stopped_training_without_validation_is_judged_by_its_training(
    verifiable: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUB_DRIFT", "0.001")
    monkeypatch.setenv("STUB_LASTING", "4")

    assert verify.main(["fast", "--minutes", "0.0001"]) == 0

    out = capfd.readouterr().out
    assert "training accuracy in epoch 4: 0.6080 committed, 0.6090 here\n" in out
    assert "training loss in epoch 4: 0.6040 committed, 0.6050 here\n" in out
    assert "validation" not in out.partition("data/processed/test.npz")[2]


def test_a_training_that_ends_in_time_is_compared_in_full(
    verifiable: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert verify.main(["baseline", "--minutes", "5"]) == 0
    assert "baseline: same bytes in full" in capfd.readouterr().out.splitlines()[-1]


def test_only_what_is_committed_counts(verifiable: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("params.yaml").write_text("broken")
    Path("new.py").touch()
    before = verifying.content(verifiable)

    assert verify.main(["baseline", "--full"]) == 0

    out = capfd.readouterr().out
    assert "verify: not committed, so left out:\n M params.yaml\n?? new.py\n" in out
    assert "same bytes in full" in out
    assert verifying.content(verifiable) == before


def test_raw_files_of_the_project_spare_a_download(
    verifiable: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipeline.datasets.fetch.missing_files", lambda folder: {})
    verify.main(["baseline", "--full"])
    assert f"stub fetch {verifiable}/data/raw\n" in capfd.readouterr().out


def test_code_that_the_results_were_not_made_with_is_named(
    verifiable: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Path("pipeline/train/fit.py").open("a") as file:
        file.write("# changed\n")
    verifying.commit(verifiable)

    assert verify.main(["baseline", "--full"]) == 0

    out = capfd.readouterr().out
    assert "  pipeline/train is not what the committed results were made from\n" in out
    assert "requirements" not in out


def test_small_number_is_read_as_dvc_reads_it(
    verifiable: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """DVC writes 1e-05, which YAML 1.1 takes for text."""
    for path in (Path("params.yaml"), Path("dvc.lock")):
        text = path.read_text()
        assert "learning_rate: 0.001\n" in text
        path.write_text(text.replace("learning_rate: 0.001\n", "learning_rate: 1e-05\n"))
    verifying.commit(verifiable)

    assert verify.main(["baseline", "--full"]) == 0

    assert "  nothing that was recorded about the machine\n" in capfd.readouterr().out


@pytest.mark.parametrize("damaged", ["[]", "{", '{"libraries": 1}'])
def test_damaged_record_of_the_machine_says_nothing(
    verifiable: Path, capfd: pytest.CaptureFixture[str], damaged: str
) -> None:
    Path("reports/runs/train@baseline.json").write_text(damaged)
    verifying.commit(verifiable)

    assert verify.main(["baseline", "--full"]) == 0

    assert "  keras: not recorded when committed, " in capfd.readouterr().out


def test_another_machine_is_described(verifiable: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = Path("reports/runs/train@baseline.json")
    run = json.loads(path.read_text())
    then = run | {"processor": "Z80", "libraries": run["libraries"] | {"keras": "2.0"}}
    path.write_text(json.dumps(then))
    verifying.commit(verifiable)

    assert verify.main(["baseline", "--full"]) == 0

    out = capfd.readouterr().out
    assert f"  processor: Z80 when committed, {run['processor']} here\n" in out
    assert f"  keras: 2.0 when committed, {run['libraries']['keras']} here\n" in out
    assert "cores" not in out
