"""Networks of their own for single processes, to be cut and healed. Needs root, `ip` and `iptables`.

A namespace is joined to the host by a pair of virtual cards. What runs within reaches the host's services at
`host`, and nothing else. A cut drops every packet of a port in both directions: no connection is refused or reset,
exactly as when a cable is pulled.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A namespace."""

    name: str
    host: str  # address of the host as seen from within

    @property
    def within(self) -> tuple[str, ...]:
        """The command that another one runs under to be in it."""
        return ("ip", "netns", "exec", self.name)

    def cut(self, *ports: int) -> None:
        """Drop all that goes to or comes from these ports."""
        self._rules("-A", ports)

    def heal(self, *ports: int) -> None:
        """Let it pass again."""
        self._rules("-D", ports)

    def _rules(self, verb: str, ports: tuple[int, ...]) -> None:
        for port in ports:
            for chain, side in (("OUTPUT", "--dport"), ("INPUT", "--sport")):
                run(*self.within, "iptables", verb, chain, "-p", "tcp", side, str(port), "-j", "DROP")


@contextmanager
def own_network(number: int) -> Iterator[Network]:
    """A namespace that is gone afterwards; `number` (1 to 250) keeps its addresses apart."""
    name = f"nr{os.getpid()}-{number}"[:12]
    host, inside = f"10.213.{number}.1", f"10.213.{number}.2"
    outer, inner = f"{name}h", f"{name}n"
    try:
        try:
            run("ip", "netns", "add", name)
            run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name)
            run("ip", "addr", "add", f"{host}/30", "dev", outer)
            run("ip", "link", "set", outer, "up")
            for command in (f"addr add {inside}/30 dev {inner}", f"link set {inner} up", "link set lo up"):
                run("ip", "-n", name, *command.split())
            run("ip", "netns", "exec", name, "iptables", "-L", "-n")
        except (OSError, subprocess.SubprocessError) as error:
            told = f"no network namespace can be made here: {getattr(error, 'stderr', '') or error}"
            if os.environ.get("CI") == "true":
                pytest.fail(told)
            pytest.skip(told)
        yield Network(name=name, host=host)
    finally:
        for ending in (("link", "del", outer), ("netns", "del", name)):
            subprocess.run(["ip", *ending], capture_output=True, check=False)


def run(*command: str) -> None:
    """Run it.

    Raises:
        subprocess.SubprocessError: with what it said.
    """
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
