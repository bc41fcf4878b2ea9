"""What the pipeline costs beside its arithmetic, each beside the least that it could cost."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from timing import row, seconds

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline.tools import lockfile

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parent
ROUNDS = 3
# What DVC cannot do without: a command, a dependency and an output.
LEAN_STAGE = "  copy{0}: {{cmd: cp a b{0}, deps: [a], outs: [b{0}]}}\n"
LOAD = "import keras; keras.saving.load_model('models/{}.keras', compile=False)"
PREDICTING = "best", "final"  # what predicts unless told otherwise, and the study's best
GIB = 2**20  # in the KiB that Linux counts peak memory in
MEMORY_LIMIT = 4.0


def inside(part: str) -> tuple[float, float]:
    """The two times that `benchmarks/in_process.py PART` prints."""
    command = [sys.executable, str(FOLDER / "in_process.py"), part]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True)
    ours, least = json.loads(done.stdout.splitlines()[-1])
    return ours, least


def peak(*command: str, threads: int | None = None) -> float:
    """Peak memory in GiB of `python COMMAND` in the project's folder."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **({"THREADS": str(threads)} if threads else {})},
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{command} failed"
    return usage.ru_maxrss / GIB


def rows() -> list[str]:
    """The table's rows; the two things of a row in turns, ROUNDS times."""
    lines = [_starting()]
    for part, name in (
        ("load", "reading train.npz with its checks : `np.load` of its arrays"),
        ("preprocess", "preprocess, without Python's start : writing the same bytes"),
        *(
            (name, f"predict by `{name}` on 1,000 image files : the model on their pixels")
            for name in PREDICTING
        ),
        ("open", "reading 1,000 image files with their checks : Pillow's opening them"),
    ):
        lines.append(row(name, *zip(*(inside(part) for _ in range(ROUNDS)), strict=True)))
    lines += _dvc()
    with tempfile.TemporaryDirectory() as scratch:
        image = _image(Path(scratch))
        return [*lines, *(_one_image(name, image) for name in PREDICTING)]


def memory_rows() -> list[str]:
    """Peak memory in GiB, beside the limit."""
    best = (str(FOLDER / "ours.py"), "best", "50000", "1", "growth={}")  # an epoch of whole images
    return [
        row(
            f"peak memory of {name} : {MEMORY_LIMIT:g} GiB",
            [peak(*command, threads=threads)],
            [MEMORY_LIMIT],
        )
        for name, command, threads in (
            ("preprocess", ("-m", "pipeline", "preprocess"), None),
            ("training `deep`", (str(FOLDER / "ours.py"), "deep", "45000", "1"), None),
            ("training `best` on two threads", best, 2),
            ("training `best` on eight threads", best, 8),
            ("predict on 1,000 images", (str(FOLDER / "in_process.py"), "best"), None),
        )
    ]


def _one_image(name: str, image: str) -> str:
    pairs = [
        (
            seconds(PROJECT, "-m", "pipeline.predict", "--variant", name, image),
            seconds(PROJECT, "-c", LOAD.format(name)),
        )
        for _ in range(ROUNDS)
    ]
    text = f"predict by `{name}` on one image : importing Keras and loading the model"
    return row(text, *zip(*pairs, strict=True))


def _starting() -> str:
    """A training of ten steps is all start: interpreter, libraries, graph."""
    few = ("baseline", "320", "1")
    pairs = [
        (
            seconds(PROJECT, str(FOLDER / "ours.py"), *few),
            seconds(PROJECT, str(FOLDER / "notebook.py"), *few),
        )
        for _ in range(ROUNDS)
    ]
    name = "start to end of a training of ten steps : as the notebook"
    return row(name, *zip(*pairs, strict=True))


def _dvc() -> list[str]:
    """What DVC and the plan cost when there is nothing to do, and DVC's own floor."""
    rounds = [
        (
            seconds(PROJECT, "-m", "dvc", "status", "--quiet"),
            seconds(PROJECT, "-m", "dvc", "repro", "--quiet"),
            seconds(PROJECT, "-m", "pipeline.tools.plan"),
        )
        for _ in range(ROUNDS)
    ]
    status, repro, plan = zip(*rounds, strict=True)
    lines = [
        row("`dvc repro` with nothing to do : `dvc status`", repro, status),
        row("`make plan` with nothing to do : `dvc status`", plan, status),
    ]
    return [
        *lines,
        _dvc_alone(stages=len(yaml.safe_load((PROJECT / lockfile.LOCK).read_text())["stages"])),
    ]


def _dvc_alone(*, stages: int) -> str:
    """The first of these rows in a repository of as many stages, none leaner."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lean = "".join(LEAN_STAGE.format(number) for number in range(stages))
        (folder / "dvc.yaml").write_text(f"stages:\n{lean}")
        (folder / "a").write_text("a\n")
        seconds(folder, "-m", "dvc", "init", "--no-scm", "--quiet")
        shutil.copy(PROJECT / ".dvc/config", folder / ".dvc/config.local")  # no analytics
        seconds(folder, "-m", "dvc", "repro", "--quiet")
        pairs = [
            (
                seconds(folder, "-m", "dvc", "repro", "--quiet"),
                seconds(folder, "-m", "dvc", "status", "--quiet"),
            )
            for _ in range(ROUNDS)
        ]
    name = f"`dvc repro` : `dvc status` in a repository of {stages} stages, one dependency each"
    return row(name, *zip(*pairs, strict=True))


def _image(folder: Path) -> str:
    from PIL import Image

    Image.new("RGB", (640, 480), "skyblue").save(folder / "photo.jpg")
    return str(folder / "photo.jpg")
