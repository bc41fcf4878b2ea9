"""Keeps dvc.lock the same, byte for byte, whichever stage finishes first.

DVC appends a new stage's entry when the stage ends; one after another, that is the plan's order.
"""

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc.utils.serialize import dump_yaml, load_yaml

from pipeline.base import files
from pipeline.tools import recorded
from pipeline.tools.plan_stages import Plan


@contextmanager
def ordered(plan: Plan) -> Iterator[None]:
    """On leaving, put the entries that the body added into the order of `plan`, at the end.

    Waits for another dvc that holds DVC's lock, unless an exception ended the body.
    """
    before = _entries()
    try:
        yield
    except BaseException:
        # Perhaps a signal's, and no second one is heeded: it could not end the wait.
        try:
            _order(plan, before, wait=False)
        except LockError:
            print(
                f"{recorded.LOCK}: another dvc holds DVC's lock; the stages that have ended stand "
                "in the order of their ends, which is harmless",
                file=sys.stderr,
            )
        raise
    _order(plan, before, wait=True)


def _order(plan: Plan, before: Collection[str], *, wait: bool) -> None:
    """Sort all entries but those named in `before`; LockError after 3 s, unless it may `wait`."""
    place = {stage.stage: number for number, stage in enumerate(plan.stages)}
    # As the command line of DVC 3.67 passes its --wait-for-lock on.
    with Repo(_wait_for_lock=wait) as repo, lock_repo(repo):
        found = _entries()
        added = sorted(
            (name for name in found if name not in before), key=lambda n: place.get(n, 0)
        )
        wanted = [*(name for name in found if name in before), *added]
        if wanted != list(found):
            content = load_yaml(recorded.LOCK)
            content["stages"] = {name: found[name] for name in wanted}
            files.write(recorded.LOCK, lambda temporary: dump_yaml(temporary, content))


def _entries() -> dict[str, object]:
    """The entries of dvc.lock by stage, in the order of the file; none when there is no file."""
    if not recorded.LOCK.exists():
        return {}
    entries: dict[str, object] = load_yaml(recorded.LOCK)["stages"]
    return entries
