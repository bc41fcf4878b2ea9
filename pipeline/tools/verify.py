"""Does this machine give the committed results? `make verify`, `python -m pipeline.tools.verify`.

Trains variants again in a temporary copy of the commit, and compares with its dvc.lock, byte for
byte; where bytes differ, it compares the figures. Writes nothing in the project. Exits with 0 for
the same bytes or results, with 1 for different ones, with 2 when it could not tell.
"""

import argparse
import io
import math
import os
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.data import settings
from pipeline.fetch import stage as fetch
from pipeline.report import history, metrics, places
from pipeline.tools import git, recorded, signals, verify_committed, verify_compare
from pipeline.tools.recorded import Run
from pipeline.tools.verify_compare import Comparison, Level
from pipeline.train import checkpoint

ALL = "all"
LOOK_SECONDS = 0.1  # between two looks at a stage that is at work


def main(arguments: list[str]) -> int:
    """The command line; the exit status is 1 when a variant's results are different ones."""
    options = _options(arguments)
    commit = git.output("rev-parse", "--verify", "HEAD").decode().strip()
    wanted = ", ".join(options.variants) or "the first variant"
    print(f"verify: training {wanted} again as of commit {commit[:12]}")
    if left_out := git.output("status", "--short", "--untracked-files=all"):
        print(f"verify: not committed, so left out:\n{left_out.decode(errors='replace')}")
    with tempfile.TemporaryDirectory(prefix="verify-") as root:
        committed, here = _copies(commit, root)
        params = params_file.read(committed / params_file.PARAMS_FILE)
        known = list(params_file.at(params, "variants"))
        names = known if ALL in options.variants else options.variants or known[:1]
        for name in names:
            params_file.at(params, f"variants.{name}")
        runs = {name: verify_committed.runs(committed, name) for name in names}
        differences = _data(settings.read(params), here, runs)
        _stage(here, "preprocess")
        comparisons = [_verify(committed, here, name, runs[name], options.minutes) for name in runs]
        differences += verify_committed.differences(committed, here, runs)
    if not all(all(comparison.same.values()) for comparison in comparisons):
        differences += verify_committed.unfixed(params, runs)  # takes four seconds
    print("", *map(verify_compare.report, comparisons), sep="\n\n", end="\n\n")
    found = differences or ["nothing that was recorded about the machine"]
    print("differs from the committed run:", *dict.fromkeys(found), sep="\n  ", end="\n\n")
    print("verify:", verify_compare.verdict(comparisons))
    return int(any(comparison.level is Level.DIFFERENT for comparison in comparisons))


def _options(arguments: list[str]) -> argparse.Namespace:
    """`variants`, and `minutes`, infinite when trainings are to end by themselves."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.tools.verify")
    said = f"by default the first of params.yaml; {ALL}: every one"
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=said)
    extent = parser.add_mutually_exclusive_group(required=True)
    extent.add_argument("--minutes", type=float, default=math.inf, help="at most, but one epoch")
    extent.add_argument("--full", action="store_true", help="train to the end")
    options = parser.parse_args(arguments)
    if not options.minutes > 0:  # NaN is not
        parser.error(f"argument --minutes: expected more than 0, found {options.minutes}")
    return options


def _copies(commit: str, root: str) -> tuple[Path, Path]:
    """Two folders in `root` with the files of `commit`: one to compare with, one to work in."""
    copies = Path(root, "committed"), Path(root, "here")
    with zipfile.ZipFile(io.BytesIO(git.output("archive", "--format=zip", commit))) as archive:
        for copy in copies:
            archive.extractall(copy)
    return copies


def _data(dataset: settings.Dataset, here: Path, runs: Mapping[str, Iterable[Run]]) -> list[str]:
    """Bring the data set into `here`; a line when it is not what `runs` were made from."""
    if isinstance(dataset, settings.Photos):
        verify_committed.link(Path(dataset.folder), here)
        return verify_committed.other_data(Path(dataset.folder), here, runs)
    _stage(here, "fetch", *([] if fetch.missing(fetch.RAW) else [str(fetch.RAW.resolve())]))
    return []  # it has its SHA-256


def _verify(committed: Path, here: Path, name: str, runs: list[Run], minutes: float) -> Comparison:
    """Train the variant `name` in `here`, for so many `minutes` but an epoch at least; compare."""
    unfinished, end = here / checkpoint.path(name), time.monotonic() + 60 * minutes
    _stage(here, "train", name, until=lambda: time.monotonic() > end and unfinished.exists())
    if not unfinished.exists():  # a training deletes it last
        _stage(here, "evaluate", name)
        then, now = metrics.read(name, committed), metrics.read(name, here)
        return verify_compare.finished(name, _same(here, *runs), then, now)
    with np.load(unfinished) as archive:
        keys = {figure: checkpoint.HISTORY + figure for figure in history.FIGURES}
        # Those of validation are not there where none was held out.
        figures = {figure: archive[key].tolist() for figure, key in keys.items() if key in archive}
    rows = history.table(figures).splitlines()[1:]
    # The progress bar of a stopped training leaves its line open.
    print(f"\nverify: stopped {name} after {len(rows)} epochs, as its time was up")
    table = (committed / places.history(name)).read_text(encoding="utf-8")
    return verify_compare.stopped(name, _same(here, runs[0]), table.splitlines()[1:], rows)


def _same(folder: Path, *runs: Run) -> dict[str, bool]:
    """Whether each file that `runs` wrote is the same in `folder`."""
    files = [file for run in runs for file in run.outs.items()]
    return {path: recorded.digest(folder / path) == digest for path, digest in files}


def _stage(folder: Path, *arguments: str, until: Callable[[], bool] = lambda: False) -> None:
    """Run a stage in `folder`, and kill it as soon as `until` holds; PipelineError if it fails."""
    sys.stdout.flush()  # or what was said before would come after
    command = [sys.executable, "-m", "pipeline", *arguments]
    # For pipeline/tools/lifeline.py, should we be killed, and for files that a killed stage leaves.
    own = os.environ | {"DVC_STAGE": "verify", "TMPDIR": str(folder)}
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, env=own) as process:
        try:
            while process.poll() is None and not until():
                time.sleep(LOOK_SECONDS)
            if process.returncode:
                raise PipelineError(
                    f"`python -m pipeline {' '.join(arguments)}` failed with exit status "
                    f"{process.returncode}, for the reason above, in a copy of the commit at "
                    f"{folder}; mend that, or name a folder with more space in the variable TMPDIR"
                )
        finally:
            process.kill()


if __name__ == "__main__":
    signals.raise_exit_on_signals()
    # In a log, too, what is said stands before what the trainings say that come after it.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        sys.exit(main(sys.argv[1:]))
    except PipelineError as error:
        print(f"verify: {error}", file=sys.stderr)
    except OSError as error:
        print(f"verify: {error}; it needs 1 GB in /tmp or TMPDIR", file=sys.stderr)
    except Exception:
        traceback.print_exc()
    sys.exit(2)  # Python's own status would be 1, which says: different results
