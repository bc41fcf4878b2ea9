"""`make verify` with the real stages on the real data."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import verifying
import workspace
from conftest import PROJECT

from pipeline.tools import quick


def _reproduced(folder: Path, params: dict[str, Any]) -> None:
    """A repository with the results of `baseline`, made by DVC from the project's raw data."""
    workspace.run(PROJECT, "python", "-c", "from pipeline.datasets import fetch; fetch.main([])")
    workspace.write_params(workspace.copy_project(folder), params)
    workspace.run(folder, "python", "-m", "pipeline", "fetch", str(PROJECT / "data/raw"))
    workspace.run(folder, "dvc", "repro", "evaluate@baseline")
    verifying.commit(folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_real_stages_on_the_real_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "project"
    verifying.temporary_beside(folder, monkeypatch)
    params = quick.quick_params(workspace.read_params(PROJECT))
    params["recipes"]["study"]["epochs"] = 20
    _reproduced(folder, params)
    before = verifying.content(folder)

    out = workspace.run(folder, "python", "-m", "pipeline.tools.verify", "baseline", "--full")
    assert "committed results: baseline: same bytes in full" in out.splitlines()[-1]
    assert "differs from the committed run:\n  nothing that was recorded about the machine\n" in out

    command = ["python", "-m", "pipeline.tools.verify", "baseline", "--minutes", "0.0001"]
    last = workspace.run(folder, *command).splitlines()[-1]
    assert re.search(r"baseline: same history for the first 1?\d of 20 epochs$", last)
    assert verifying.content(folder) == before
    assert not verifying.temporary(folder)

    params["variants"]["baseline"]["seed"] += 1
    workspace.write_params(folder, params)
    verifying.commit(folder)
    done = subprocess.run(
        command, cwd=folder, env=workspace.environment(), capture_output=True, text=True
    )
    assert done.returncode in (0, 1), done.stderr  # chance decides how far another seed is off
    assert re.search(r"^  differs  history of \d+ epochs, the same for 0$", done.stdout, re.M)
    assert "  params.yaml: variants.baseline is not what the committed" in done.stdout
