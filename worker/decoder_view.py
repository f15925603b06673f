"""`nightread doctor --decoders`: each transfer syntax with its decoder and what a self-test said."""

from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.decoders import DecoderCheck, check_decoders
from worker.terminal import print_json

NARROWEST = 110  # columns; a UID must not be broken where the output is piped


def show_decoders(*, as_json: bool) -> int:
    """Print every transfer syntax; 1 if any of them cannot be decoded here."""
    checks = check_decoders()
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        console = Console()
        console.width = max(NARROWEST, console.width)
        console.print(_table(checks))
    return 0 if all(check.works for check in checks) else 1


def summary(checks: list[DecoderCheck]) -> str:
    """One line for the listing of all checks: every library once."""
    libraries = dict.fromkeys(f"{check.decoder} {check.version}" for check in checks)
    return f"{len(checks)} transfer syntaxes decode their samples: {', '.join(libraries)} (--decoders lists them)"


def _table(checks: list[DecoderCheck]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", "transfer syntax", "UID", "decoder", "licence"):
        table.add_column(column, no_wrap=column in ("", "UID"))
    for check in checks:
        mark = Text("ok", style="green") if check.works else Text("FAIL", style="red")
        told = f"{check.decoder} {check.version}" if check.works else check.problem
        table.add_row(mark, check.name, check.uid, Text(told), check.licence)
    return table
