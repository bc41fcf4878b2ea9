"""Make the output shown in docs/experiments.md anew: `python benchmarks/shown.py`, five minutes.

In a clone of the last commit beside the project, with its DVC cache, runs each command of the
page's `console` blocks in turn, after the change of params.yaml that the page begins with. Where
output stands below a command, what it printed now takes its place.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parent.parent
PAGE = PROJECT / "docs/experiments.md"
CHANGE = ("    dense: 16\n", "    dense: 32\n")
AS_MAKE_DOES = {  # without a .venv in the clone
    "make plan": "python -m pipeline.tools.plan",
    "make plots REV=HEAD": "python -m pipeline.tools.plots && "
    "dvc plots diff HEAD --html-template .dvc/tmp/plots.html",
}
# What the page says between its blocks: back to the commit.
BACK = "git checkout --quiet . && dvc checkout --quiet"
QUEUED = re.compile(r"Queued experiment '([^']+)'")


def run(command: str, folder: Path) -> str:
    """What `command` prints in `folder` on standard output."""
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    return "\n".join(lines).strip("\n")


def renewed(block: str, folder: Path, names: dict[str, str]) -> str:
    """The console `block` with new output; `names` gives experiments' old names their new ones."""
    renewed = []
    for part in filter(None, re.split(r"^(?=\$ )", block, flags=re.MULTILINE)):
        command, _, before = part.partition("\n")
        for old, new in names.items():
            command = command.replace(old, new)
        if command.startswith("$ dvc queue status"):
            wait(folder)
        plain = command.removeprefix("$ ").partition("  #")[0].rstrip()
        output = run(AS_MAKE_DOES.get(plain, plain), folder)
        names |= dict(zip(QUEUED.findall(before), QUEUED.findall(output), strict=False))
        shown = f"{output}\n" if before.strip() else ""
        renewed.append(f"{command}\n{shown}" + ("\n" if f"\n{before}".endswith("\n\n") else ""))
    return "".join(renewed)


def wait(folder: Path) -> None:
    """Until no queued experiment is left to run."""
    while re.search("Running|Queued", run("dvc queue status", folder)):
        time.sleep(5)


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    names: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "clone")
        run(f"git clone --quiet --branch main '{PROJECT}' '{folder}'", PROJECT)
        run(f"dvc cache dir --local '{PROJECT}/.dvc/cache' && dvc checkout --quiet", folder)
        params = folder / "params.yaml"
        params.write_text(params.read_text(encoding="utf-8").replace(*CHANGE, 1), encoding="utf-8")
        blocks = re.split(r"(?<=```console\n)(.*?)(?=```)", text, flags=re.DOTALL)
        for number in range(1, len(blocks), 2):
            blocks[number] = renewed(blocks[number], folder, names)
            run(BACK, folder)
    PAGE.write_text("".join(blocks), encoding="utf-8")


if __name__ == "__main__":
    main()
