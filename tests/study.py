"""Small studies, from raw data to comparison, run in an environment that a test chooses."""

import hashlib
import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import backbone_file
import declared
import synthetic
import workspace
import yaml
from conftest import PROJECT

from pipeline.datasets import cifar10
from pipeline.tools import new_project

Outputs: TypeAlias = dict[str, str]  # SHA-256 by path
# Durations, which the page shows, are no function of parameters, code and data.
TIMES = "reports/variants/*/training_time.json"
FORGET = f"[path.unlink() for path in Path().glob({TIMES!r})]"


@dataclass(frozen=True)
class Circumstances:
    """What may differ on another machine."""

    folder: str = "study"
    prefix: tuple[str, ...] = ()  # a command that runs its arguments
    environment: Mapping[str, str] = field(default_factory=dict)
    process: Mapping[str, Any] = field(default_factory=dict)  # for subprocess.run
    owner: int | None = None  # of the folder, if not the current user
    command_per_stage: bool = False


def prepare(
    folder: Path,
    *,
    steps: int,
    epochs: int,
    cpu_isa: str = "AVX2",
    variants: tuple[str, ...] = workspace.KINDS,
) -> None:
    """Make `folder` a project with raw data and `epochs` epochs of `steps` batches of 32 images.

    Airbench networks are narrow.
    """
    folder.mkdir(parents=True, exist_ok=True)
    workspace.copy_files(folder)
    params = workspace.light(workspace.read_params(PROJECT))
    params["dataset"] |= {"train_images": 32 * steps, "validation_images": 200}
    for section in (params["inference"], *params["numerics"].values()):
        section["cpu_isa"] = cpu_isa
    if "fine_tuned" in variants:
        params = with_fine_tuned(params)
        backbone_file.install(folder)
    for shared in params["recipes"].values():
        shared["epochs"] = epochs
    workspace.write_params(folder, params)
    workspace.drop_variants(folder, *set(params["variants"]) - set(variants))
    each = math.ceil((32 * steps + 200) / len(cifar10.TRAIN_FILES) / 10) * 10
    synthetic.write_batches(folder / "data/raw", images_per_file=each)


def with_fine_tuned(params: dict[str, Any]) -> dict[str, Any]:
    """`params` with the variant `fine_tuned` of studies of photos, on a small backbone."""
    template = yaml.safe_load(new_project.TEMPLATE.read_text())
    changes = template["variants"]["fine_tuned"] | {"recipe": "trial_adam"}
    fine_tuned = template["variants"][changes.pop("from")] | changes
    backbone = template["backbones"][fine_tuned["data"]] | {"side": 96, "batch_size": 50}
    variants = params["variants"] | {"fine_tuned": fine_tuned}
    return params | {"variants": variants, "backbones": {fine_tuned["data"]: backbone}}


def run(folder: Path, circumstances: Circumstances, *stages: str) -> Outputs:
    """Run `stages`, or all but fetch, of the study at `folder`; SHA-256 of their outputs by path.

    A stage that fails is an AssertionError with its output.
    """
    known = declared.stages(folder)
    names = stages or tuple(name for name in known if name != "fetch")
    commands = [known[name].command.split()[1:] for name in names]  # less `python`
    if not circumstances.command_per_stage:  # TensorFlow takes longer to start than a stage
        calls = [f"main({arguments}); {FORGET}" for _, _, *arguments in commands]
        start = "from pathlib import Path; from pipeline.__main__ import main"
        commands = [["-c", "\n".join([start, *calls])]]  # less `-m pipeline`
    for command in commands:
        done = subprocess.run(
            [*circumstances.prefix, sys.executable, *command],
            cwd=folder,
            env={**workspace.environment(), "PYTHONHASHSEED": "0", **circumstances.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            **circumstances.process,
        )
        output = done.stdout.decode(errors="replace")
        assert done.returncode == 0, f"{command} exited {done.returncode}:\n{output}"
        for path in folder.glob(TIMES):
            path.unlink()
    outputs = [folder / out for name in names for out in known[name].outs]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in outputs
    }
