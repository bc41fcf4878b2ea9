"""Does this machine give the committed results? `make verify`, `python -m pipeline.verify`.

Trains variants again from the committed state, in a temporary copy, and compares with dvc.lock,
byte for byte; where bytes differ, it compares the figures. Reads the project and writes nothing
there. The program exits with 0 for the same bytes or results, with 1 for different ones, with 2
when it could not tell; make turns 1 into 2 as well.
"""

import argparse
import math
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline import (
    config,
    fetch,
    recorded,
    stopping,
    verify_compare,
    verify_machine,
    verify_report,
    verify_workspace,
)
from pipeline.errors import PipelineError
from pipeline.verify_committed import Committed, machine, metrics, read
from pipeline.verify_compare import Comparison, Level

ALL = "all"


def main(arguments: list[str]) -> int:
    """The command line; the exit status is 1 when a variant's results are different ones."""
    options = _options(arguments)
    project = Path()
    commit = verify_workspace.commit(project)
    _say(f"training {', '.join(options.variants)} again as of commit {commit[:12]}")
    if left_out := verify_workspace.uncommitted(project):
        _say(f"not committed, so left out: {', '.join(left_out)}")
    with verify_workspace.copy(project, commit) as folder:
        committed = [read(folder, name) for name in _variants(folder, options.variants)]
        _prepare_data(folder, project / fetch.RAW)
        seconds = None if options.full else 60 * options.minutes
        comparisons = [_verify(folder, one, seconds) for one in committed]
        differences = _differences(folder, committed, comparisons)
    print("", *map(verify_report.table, comparisons), sep="\n\n")
    print(f"\n{verify_report.differences(differences)}\n")
    _say(verify_report.verdict(comparisons))
    return int(any(comparison.level is Level.DIFFERENT for comparison in comparisons))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pipeline.verify")
    parser.add_argument(
        "variants", nargs="+", metavar="VARIANT", help=f"of params.yaml; {ALL}: every one"
    )
    extent = parser.add_mutually_exclusive_group(required=True)
    extent.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help="stop each training after so long, though not before its first epoch ends",
    )
    extent.add_argument("--full", action="store_true", help="train to the end")
    options = parser.parse_args(arguments)
    if options.minutes is not None and not 0 < options.minutes < math.inf:
        parser.error(f"argument --minutes: expected more than 0, found {options.minutes}")
    return options


def _variants(folder: Path, names: Sequence[str]) -> list[str]:
    """The variants that are meant by `names`; PipelineError when the commit lacks one."""
    known = config.read(folder / config.PARAMS_FILE)["variants"]
    for name in names:
        if name != ALL and name not in known:
            raise config.unknown_name(name, known, "variants")
    return list(known) if ALL in names else list(dict.fromkeys(names))


def _prepare_data(folder: Path, raw: Path) -> None:
    """Make the data in `folder`, from the project's raw files if they are all there."""
    here = [str(raw.resolve())] if not fetch.missing(raw) else []
    verify_workspace.stage(folder, "fetch", *here)
    verify_workspace.stage(folder, "preprocess")


def _verify(folder: Path, committed: Committed, seconds: float | None) -> Comparison:
    """Train a variant in `folder` and compare all that this makes with what is committed."""
    name = committed.variant
    if not verify_workspace.train(folder, name, seconds):
        rows = verify_workspace.rows(folder, name)
        print()  # the progress bar of a stopped training leaves its line open
        _say(f"stopped {name} after {len(rows)} epochs, as its time was up")
        data = verify_compare.digests(committed.data, _digests(folder, committed.data))
        return verify_compare.stopped(name, data, committed.history, rows)
    verify_workspace.stage(folder, "evaluate", name)
    wanted = {**committed.data, **committed.outputs}
    return verify_compare.finished(
        name,
        verify_compare.digests(wanted, _digests(folder, wanted)),
        committed.metrics,
        metrics(folder, name),
        len(committed.history),
    )


def _digests(folder: Path, paths: Iterable[str]) -> dict[str, str]:
    return {
        path: recorded.md5(folder / path) if (folder / path).is_file() else "missing"
        for path in paths
    }


def _differences(
    folder: Path, committed: Sequence[Committed], comparisons: Sequence[Comparison]
) -> list[str]:
    """What may have made results differ, a line each; where none do, not all is looked for."""
    here = machine(folder, "preprocess")  # which has just run
    lines = []
    for one in committed:
        lines += [f"{name} is not what the committed results were made from" for name in one.stale]
        lines += verify_machine.differences(one.machine, here)
    if any(comparison.level is not Level.SAME_BYTES for comparison in comparisons):
        names = [one.variant for one in committed]
        # It takes four seconds.
        lines += verify_workspace.output(folder, "pipeline.verify_machine", *names)
    return list(dict.fromkeys(lines))


def _say(text: str) -> None:
    print(f"verify: {text}", flush=True)


if __name__ == "__main__":
    stopping.raise_exit_on_signals()
    try:
        sys.exit(main(sys.argv[1:]))
    except PipelineError as error:
        print(f"verify: {error}", file=sys.stderr)
        sys.exit(2)
    except Exception:
        traceback.print_exc()
        sys.exit(2)  # Python's own status would be 1, which says: different results
