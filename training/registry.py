"""The way of a checkpoint into a site's registry: through a process of the worker's, which knows the database.

All that passes is a path and an exit code, as it is in the other direction when a worker trains. So a machine that
only trains needs none of the worker's packages.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from pipeline.errors import UsageError

PROGRAM = (sys.executable, "-m", "worker", "models", "publish")


def publish_by_worker(checkpoint: Path) -> int:
    """Publish a checkpoint with the environment's settings; the exit code of whoever did it."""
    if find_spec("worker") is None or find_spec("sqlalchemy") is None:
        raise UsageError(
            f"the registry cannot be reached from here: this machine has no nightread worker; copy {checkpoint} "
            "to one that has and publish it there"
        )
    return subprocess.run([*PROGRAM, str(checkpoint)], check=False).returncode  # noqa: S603  # our own program
