"""The command line of predict: which arguments are photos, and an answer that nobody can read."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT

from pipeline.predict import __main__ as command
from pipeline.predict import answer, classify
from pipeline.predict.networks import Network


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photos that were to be classified; the current folder is an empty one."""
    names: list[str] = []

    def photos(_: classify.Asked, given: Sequence[str]) -> answer.Answer:
        names.extend(given)
        return answer.Answer("final", 0.7, "models/final.keras", [])

    def ready(variant: str | None) -> classify.Asked:
        network = Network(Path("models/final.keras"), 32, ("cat", "dog"), np.asarray)
        return classify.Asked("final", 0.7, network, "centre", 0.5)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(classify, "ready", ready)
    monkeypatch.setattr(classify.Asked, "photos", photos)
    return names


@pytest.mark.parametrize("arguments", [["--", "-dash.png", "lime.png"], ["-dash.png", "lime.png"]])
def test_names_that_begin_with_a_dash(asked: list[str], arguments: list[str]) -> None:
    """The second is what the shell makes of `*.png`."""
    Path("-dash.png").touch()
    command.main(["--top", "1", *arguments])
    assert asked == ["-dash.png", "lime.png"]


@pytest.mark.parametrize("name", ["-horse.png", "--top.png", "--jso"])
def test_name_like_an_option_is_a_photo_where_there_is_one(
    asked: list[str], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    Path(name).touch()
    command.main([name, "--variant", "final", "--", "--json"])
    assert asked == [name, "--json"]
    assert capsys.readouterr().out.startswith("variant final, test accuracy")


@pytest.mark.parametrize("arguments", [["--plot", "-a.png"], ["-b.png"], ["--jsn"]])
def test_other_names_with_a_dash_are_mistaken_options(
    asked: list[str], capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    Path("-a.png").touch()
    with pytest.raises(SystemExit, match="2"):
        command.main(["lime.png", *arguments])
    assert "error: " in capsys.readouterr().err
    assert asked == []


# The command, with an answer that needs no network.
ANSWERING = """
import runpy, sys
from types import SimpleNamespace
from pipeline.predict import answer, classify
found = answer.Answer("final", 0.7, "models/final.keras", [])
network = SimpleNamespace(classes=("cat", "dog"))
classify.ready = lambda _: SimpleNamespace(network=network, photos=lambda names: found)
sys.argv = ["predict", "photo.png", *sys.argv[1:]]
runpy.run_module("pipeline.predict", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("redirection", "status", "said"),
    [
        ("| true", 0, ""),
        ("> /dev/full", 1, "predict: cannot write the answer: No space left on device; free sp"),
        (">&-", 1, "predict: expected a place for the answer, found standard output closed"),
    ],
)
def test_answer_that_cannot_be_written(redirection: str, status: int, said: str) -> None:
    """Python's own buffer is on, as in anybody's shell."""
    done = subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" --json {redirection}', sys.executable, ANSWERING],
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr[: len(said)]) == (status, said)
    assert done.stderr.count("\n") == status
