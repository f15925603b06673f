"""A trainer that learns nothing: `fit` writes a checkpoint with the figures that its configuration names.

Stands for `python -m training` where only what comes before and after it is tried.
"""

import sys
import tomllib
from pathlib import Path

from pipeline.manifest import load_manifest
from tests.checkpoints import figures, write_checkpoint


def main(arguments: list[str]) -> None:
    """As `nightread-train fit CONFIG --version V`, or `card CHECKPOINT DATA --split SPLIT`."""
    print(*arguments, flush=True)  # noqa: T201  # as the real one, for the log
    if arguments[0] == "card":
        folder, data = Path(arguments[1]), Path(arguments[2])
        champion = load_manifest(folder)
        measured = tomllib.loads((data / "champion.toml").read_text(encoding="utf-8"))
        write_checkpoint(folder, version=champion.version, metrics=figures(**measured))
        return
    tables = tomllib.loads(Path(arguments[1]).read_text(encoding="utf-8"))
    version = arguments[arguments.index("--version") + 1]
    write_checkpoint(
        Path(tables["run"]["output"]) / version,
        name=tables["run"]["name"],
        version=version,
        weights=version,
        metrics=figures(**tables["figures"]),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
