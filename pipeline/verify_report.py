"""What `make verify` says in the end: a table per variant, and one sentence."""

from collections.abc import Sequence

from pipeline.verify_compare import ACCURACY_TOLERANCE, LOSS_TOLERANCE, Comparison, Level

SHOWN_DIGITS = 12  # of 32 of an MD5, to fit in a line; all are compared


def table(comparison: Comparison) -> str:
    """A line for each thing compared: what it is, committed, here, and how they agree."""
    lines = [(comparison.variant, "committed", "here", "")]
    for digest in comparison.digests:
        verdict = "same" if digest.same else "differs"
        lines.append(
            (digest.name, digest.committed[:SHOWN_DIGITS], digest.here[:SHOWN_DIGITS], verdict)
        )
    for figure in comparison.figures:
        relation = "within" if figure.within else "more than"
        verdict = f"{figure.here - figure.committed:+.4f}, {relation} {figure.tolerance:.4f}"
        if figure.here == figure.committed:
            verdict = "same"
        lines.append((figure.name, f"{figure.committed:.4f}", f"{figure.here:.4f}", verdict))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def differences(lines: Sequence[str]) -> str:
    """What differs about the machine and the inputs, given a line for each thing."""
    if not lines:
        return "nothing recorded about the machine differs from the committed run's"
    return "\n".join(["differs from the committed run:", *(f"  {line}" for line in lines)])


def verdict(comparisons: Sequence[Comparison]) -> str:
    """The answer to "do I get the committed results?", one clause for each variant."""
    different = any(comparison.level is Level.DIFFERENT for comparison in comparisons)
    answer = f"you {'do not ' if different else ''}get the committed results"
    return f"{answer}: {'; '.join(map(_clause, comparisons))}"


def _clause(comparison: Comparison) -> str:
    extent = "in full"
    if comparison.stopped:
        extent = f"for the first {comparison.epochs} of {comparison.of_epochs} epochs"
    level = str(comparison.level)
    if comparison.level is Level.SAME_BYTES and comparison.stopped:
        level = "same history"
    if comparison.level is Level.SAME_RESULTS:
        tolerance = f"accuracy within {ACCURACY_TOLERANCE}, loss within {LOSS_TOLERANCE:.0%}"
        level += f" (other bytes; {tolerance})"
    return f"{comparison.variant}: {level} {extent}"
