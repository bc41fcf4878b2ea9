"""Signals that ask a program to end, turned into an exception that lets it clean up."""

import signal
from types import FrameType

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def raise_exit_on_signals() -> None:
    """From here on Ctrl-C, SIGTERM and SIGHUP raise SystemExit with the shell's status, once.

    SIGINT also where a shell started us in the background, which has it ignored.
    """
    for number in _ASKING:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _exit)


def _exit(number: int, _frame: FrameType | None) -> None:
    for each in _ASKING:
        signal.signal(each, signal.SIG_IGN)  # a second one must not cut the cleaning up short
    raise SystemExit(128 + number)
