"""Which code is running: version, commit where a checkout tells it, and a digest of the sources themselves.

The digest is always there and always true, also for a wheel and for a checkout with local changes.
"""

import functools
import hashlib
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("db", "pipeline", "worker")


@functools.cache
def code_version() -> str:
    """For example `0.1.0 commit 1a2b3c4 sources 5d6e…` (the digest's first 16 hex digits)."""
    root = Path(__file__).resolve().parent.parent
    commit = _commit(root)
    return f"{metadata.version('nightread')}{f' commit {commit}' if commit else ''} sources {_digest(root)}"


def _commit(root: Path) -> str:
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _digest(root: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(file for package in PACKAGES for file in (root / package).rglob("*.py")):
        digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
