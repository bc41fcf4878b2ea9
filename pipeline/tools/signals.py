"""Termination signals as an exception, so that `with` and `finally` blocks clean up."""

import signal
from types import FrameType

TERMINATION = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def raise_exit_on_signals() -> None:
    """From now on Ctrl-C, SIGTERM and SIGHUP raise SystemExit with the shell's status, once.

    SIGINT also where a shell started the program in the background, which has it ignored.
    """
    for number in TERMINATION:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _exit)


def _exit(number: int, _frame: FrameType | None) -> None:
    for other in TERMINATION:
        signal.signal(other, signal.SIG_IGN)  # a second one must not interrupt the cleanup
    raise SystemExit(128 + number)
