"""The project with a single variant and without compare and page."""

from pathlib import Path

import workspace
import yaml


def reproduced(folder: Path) -> Path:
    """A repository of stub stages in `folder` after its first `dvc repro`, committed."""
    workspace.with_stub_stages(workspace.copy_project(folder))
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    del stages["compare"], stages["page"]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    params = workspace.read_params(folder)
    params["variants"] = {"final": params["variants"]["final"]}
    workspace.write_params(folder, params)
    workspace.run(folder, "dvc", "repro", "--quiet")
    workspace.run(folder, "git", "add", "--all")
    workspace.run(folder, "git", "commit", "--quiet", "--message", "first run")
    return folder
