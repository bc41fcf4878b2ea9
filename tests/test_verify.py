"""`make verify` on small repositories with committed results of stub stages."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import verifying
import workspace
from conftest import PROJECT

from pipeline.core.errors import PipelineError
from pipeline.core.params import read_params
from pipeline.tools import quick, verify

BASELINE = ("python", "-m", "pipeline.tools.verify", "baseline")


def _result(output: str, variant: str = "baseline") -> str:
    (line,) = re.findall(rf"^verify: {variant}: (.*)$", output, re.M)
    return line


@pytest.mark.parametrize(("arguments", "downloads"), [([], True), (["baseline"], False)])
def test_same_bytes(
    verifiable: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], downloads: bool
) -> None:
    if downloads:
        shutil.rmtree("data/raw")
    Path("params.yaml").write_text("not committed")
    Path("new.py").touch()
    before = verifying.content(verifiable)
    assert verify.main(arguments) == 0
    out = capfd.readouterr().out
    assert _result(out) == "same bytes"
    assert " M params.yaml\n?? new.py\n" in out
    assert ("stub fetch downloads" in out) is downloads, "the project's raw data are taken"
    assert verifying.content(verifiable) == before
    assert not verifying.temporary(verifiable)


@pytest.mark.parametrize(
    ("variable", "value", "new", "first"),
    [
        ("STUB_DRIFT", "0.25", "0.75", "models/baseline.keras"),
        ("STUB_OMITS", "classes", "0.5", "reports/variants/baseline/classes.csv"),
    ],
)
def test_first_difference_and_accuracies(
    verifiable: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    new: str,
    first: str,
) -> None:
    monkeypatch.setenv(variable, value)
    assert verify.main(["baseline"]) == 1
    out = capfd.readouterr().out
    assert _result(out) == f"other bytes, first in {first}"
    assert f"test accuracy of baseline: 0.5 committed, {new} new\n" in out
    assert not verifying.temporary(verifiable)


@pytest.mark.parametrize("arguments", [["fast", "baseline"], ["all"]])
def test_one_variant_of_several_differs(
    verifiable: Path, capfd: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    lock = Path("dvc.lock").read_text()
    history = r"(reports/variants/fast/history.csv\n +hash: md5\n +md5: )\w+"
    Path("dvc.lock").write_text(re.sub(history, rf"\g<1>{'0' * 32}", lock))
    verifying.commit(verifiable)
    assert verify.main(arguments) == 1
    out = capfd.readouterr().out
    assert _result(out) == "same bytes"
    assert _result(out, "fast") == "other bytes, first in reports/variants/fast/history.csv"
    assert out.count("stub preprocess") == 1


def test_other_data_and_photos(verifiable: Path, capfd: pytest.CaptureFixture[str]) -> None:
    of_photos = read_params(PROJECT / "pipeline/tools/photos_params.yaml")["dataset"]
    params = workspace.read_params(verifiable) | {"dataset": of_photos | {"seed": 2}}
    workspace.write_params(verifiable, params)
    verifying.commit(verifiable)
    Path("data/photos").mkdir()
    Path("data/photos/1.jpg").touch()
    assert verify.main(["baseline"]) == 1
    out = capfd.readouterr().out
    assert _result(out).startswith("other bytes, first in data/processed/t")
    assert "photos: data/photos/1.jpg\n" in out
    assert "stub fetch" not in out


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("sed -i.before s/train@baseline/train@other/ dvc.lock", "entry of train@baseline"),
        ("git rm -q reports/variants/baseline/metrics.json", "baseline/metrics.json"),
        ("sed -i.before 's/^  baseline:/  other:/' params.yaml", r"variants\.baseline"),
        ("rm -rf .git; git init -q", "git init"),
    ],
)
def test_what_cannot_be_compared_is_named(verifiable: Path, damage: str, expected: str) -> None:
    workspace.run(verifiable, "sh", "-c", damage)
    if ".git" not in damage:
        verifying.commit(verifiable)
    with pytest.raises(PipelineError, match=expected):
        verify.main(["baseline"])
    assert not verifying.temporary(verifiable)


def test_exit_status_of_errors(verifiable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_FAILS", "train")
    output = workspace.run(verifiable, *BASELINE, expect=2)
    assert "`python -m pipeline train baseline` failed" in output
    assert "Traceback" not in output
    with Path("pipeline/tools/lockfile.py").open("a") as file:
        file.write("\n\ndef read_outputs(_):\n    raise RuntimeError\n")
    # No difference, for which the exit status is 1 as Python's own.
    assert "RuntimeError" in workspace.run(verifiable, *BASELINE, expect=2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_the_training(
    verifiable: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("STUB_HANGS", "train")
    with subprocess.Popen(
        [sys.executable, *BASELINE[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        while "stub train" not in process.stdout.readline():
            assert process.poll() is None
        (training,) = psutil.Process(process.pid).children()
        process.send_signal(number)
        rest, _ = process.communicate(timeout=30)
    training.wait(timeout=30)
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        assert "Traceback" not in rest
        assert not verifying.temporary(verifiable)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_real_stages_on_the_real_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.run(PROJECT, "python", "-c", "from pipeline.datasets import fetch; fetch.main([])")
    folder = workspace.copy_project(tmp_path / "project")
    verifying.temporary_beside(folder, monkeypatch)
    workspace.write_params(folder, quick.quick_params(workspace.read_params(PROJECT)))
    shutil.copytree(PROJECT / "data/raw", folder / "data/raw")
    workspace.run(folder, "dvc", "repro", "evaluate@baseline")
    verifying.commit(folder)
    assert _result(workspace.run(folder, *BASELINE)) == "same bytes"
    assert not verifying.temporary(folder)
