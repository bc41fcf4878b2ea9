"""What `dvc repro` would do, and why, before it does it: `python -m pipeline.tools.plan [--json]`.

Reads only, without DVC's locks, so it may be asked while a training runs. Exits with 1 when some
stage's command would run, with 0 when none would, with 2 when the pipeline cannot be read.
"""

import argparse
import dataclasses
import json
import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from pipeline.base.errors import PipelineError
from pipeline.tools.plan_stages import PENDING, Plan, StagePlan, Status, make


@dataclasses.dataclass(frozen=True)
class PlannedStage:
    """A stage that `dvc repro` would run, restore or may run."""

    name: str
    upstream: tuple[str, ...]
    reasons: tuple[str, ...]
    seconds: float | None


def plan_stages(targets: Sequence[str] = (), root: Path = Path()) -> list[PlannedStage]:
    """The stages that `dvc repro TARGETS` would run, restore or may run, in topological order."""
    pending = make(targets, root=root).having(*PENDING)
    names = {stage.stage for stage in pending}
    return [
        PlannedStage(s.stage, tuple(n for n in s.after if n in names), s.reasons, s.seconds)
        for s in pending
    ]


def as_json(plan: Plan) -> str:
    """The plan for programs; `seconds.at_most` counts the stages that may follow as well."""
    expected, at_most = _seconds(plan)
    seconds = {"expected": expected, "at_most": at_most}
    return json.dumps({"runs": plan.runs, "seconds": seconds, **dataclasses.asdict(plan)}, indent=2)


def as_text(plan: Plan) -> str:
    """The plan for people: a block for each status, the reasons beside each stage."""
    lines: list[str] = []
    for status in (Status.WILL_RUN, Status.RESTORED, Status.MAY_FOLLOW):
        if stages := plan.having(status):
            lines += [status, *map(_lines, stages)]
    if stages := plan.having(Status.UP_TO_DATE):
        lines += [Status.UP_TO_DATE, _wrapped(", ".join(stage.stage for stage in stages), 2)]
    return "\n".join([*lines, _wrapped(_times(plan), 0)])


def _lines(stage: StagePlan) -> str:
    time = "" if stage.status is Status.RESTORED else duration(stage.seconds)
    first, *rest = stage.reasons
    reasons = [f"from {stage.source}: {first}" if stage.source else first, *rest]
    text = "\n".join(_wrapped(reason, 36) for reason in reasons)
    return f"  {stage.stage:<20} {time:>11}  {text.lstrip()}"


def _wrapped(text: str, indent: int) -> str:
    """`text` in lines of 80 columns, as far as its words fit, all but the first indented more."""
    return textwrap.fill(
        text,
        80,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _seconds(plan: Plan) -> tuple[float, float]:
    """What the stages that will run took last, and the same with those that may follow."""
    will, may = (
        sum(stage.seconds or 0.0 for stage in plan.having(status))
        for status in (Status.WILL_RUN, Status.MAY_FOLLOW)
    )
    return will, will + may


def _times(plan: Plan) -> str:
    """The last line: how long it all will take, as far as earlier runs tell."""
    if not plan.runs:
        return "nothing would run"
    expected, at_most = _seconds(plan)
    stages = plan.having(Status.WILL_RUN, Status.MAY_FOLLOW)
    untimed = [stage.stage for stage in stages if stage.seconds is None]
    if len(untimed) == len(stages):
        return "expected time: unknown, as none of these was timed yet"
    text = f"expected time: {duration(expected)}, one stage after another"
    text += f", up to {duration(at_most)} with what may follow" if at_most > expected else ""
    return text + (f"; not counted, never timed: {', '.join(untimed)}" if untimed else "")


def duration(seconds: float | None) -> str:
    """`seconds` as a person says it: `8 s`, `14 min 2 s`, `1 h 5 min`, or `unknown`."""
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def main(arguments: list[str]) -> int:
    """Print the plan; the exit status is 1 when something would run, else 0."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.tools.plan")
    parser.add_argument("targets", nargs="*", metavar="STAGE", help="plan these and what they need")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    plan = make(options.targets)
    text = as_json(plan) if options.json else as_text(plan)
    encoding = sys.stdout.encoding
    if not encoding.lower().startswith("utf"):  # latin-1, say, has no arrow
        text = text.replace("→", "->").encode(encoding, "backslashreplace").decode(encoding)
    print(text, flush=True)  # a reader that has gone is noticed here
    return int(plan.runs)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except PipelineError as error:
        print(f"plan: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)  # the shell's status for Ctrl-C
    except BrokenPipeError:  # whoever read the plan, `head` say, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
