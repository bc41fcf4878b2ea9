"""The project with a single variant, not compared: five stages, so that DVC is soon done."""

from pathlib import Path

import workspace
import yaml


def reproduced(folder: Path) -> Path:
    """A repository of stub stages in `folder` after its first `dvc repro`, committed."""
    workspace.with_stub_stages(workspace.copy_project(folder))
    declared = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    del declared["compare"], declared["page"]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": declared}, sort_keys=False))
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["variants"] = {"final": params["variants"]["final"]}
    workspace.write_params(folder, params)
    workspace.run(folder, "dvc", "repro", "--quiet")
    workspace.run(folder, "git", "add", "--all")
    workspace.run(folder, "git", "commit", "--quiet", "--message", "first run")
    return folder
