"""Ports for services that tests start."""

import socket


def free_ports(count: int = 1) -> int:
    """A port that nobody listens on just now and that leaves room for `count` of them from it on."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 65536 - count:
            return port
