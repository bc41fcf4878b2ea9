"""Machines with networks of their own, by Linux's namespaces; root is not needed.

A command runs on one of them by what it is prefixed with.
"""

import os
import subprocess

import pytest

CENTRE = "10.7.0.1"  # where all of them reach the first


class Machine:
    """A network and mounts that are seen by what runs with `prefix` alone."""

    def __init__(self, *before: str) -> None:
        user = () if before or os.geteuid() == 0 else ("--user", "--map-root-user")
        command = ("unshare", *user, "--net", "--mount", "sh", "-c", "echo; exec sleep 3600")
        self.holder = subprocess.Popen([*before, *command], stdout=subprocess.PIPE)
        assert self.holder.stdout
        if not self.holder.stdout.readline():
            pytest.fail("nobody may make networks on this machine: allow user namespaces")
        as_user = () if os.geteuid() == 0 else ("--user", "--preserve-credentials")
        target = ("--target", str(self.holder.pid))
        self.prefix = ("nsenter", *target, *as_user, "--net", "--mount", "--wd=.")
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *command: str) -> None:
        subprocess.run([*self.prefix, *command], check=True)


class Network:
    """A first machine, at CENTRE, and further ones, each with a cable to it."""

    def __init__(self) -> None:
        self.first = Machine()
        self.first.run("ip", "address", "add", f"{CENTRE}/32", "dev", "lo")
        self.others: list[Machine] = []

    def machine(self) -> Machine:
        """One more."""
        made = Machine(*self.first.prefix)
        self.others.append(made)
        number = len(self.others)
        cable = ("ip", "link", "add", f"to{number}", "type", "veth")
        self.first.run(*cable, "peer", "name", "cable", "netns", str(made.holder.pid))
        self.first.run("ip", "address", "add", f"10.7.{number}.1/24", "dev", f"to{number}")
        self.plugged(made, True)
        made.run("ip", "address", "add", f"10.7.{number}.2/24", "dev", "cable")
        made.run("ip", "link", "set", "cable", "up")
        made.run("ip", "route", "add", "default", "via", f"10.7.{number}.1")
        return made

    def plugged(self, machine: Machine, state: bool) -> None:
        """Put the cable to `machine` in, or pull it out."""
        name = f"to{self.others.index(machine) + 1}"
        self.first.run("ip", "link", "set", name, "up" if state else "down")

    def end(self) -> None:
        for machine in (*self.others, self.first):
            machine.holder.kill()
            machine.holder.communicate()
