"""Keyed pseudonyms for patient id, patient name and accession number.

HMAC-SHA256 under the site's key: equal values give equal pseudonyms, so rows still join, and without the key
nobody can test a guess. The key is the site's to keep: whoever has it can link the pseudonyms again.
"""

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError

LENGTH = 32  # hex digits, 128 bits


@dataclass(frozen=True, kw_only=True, slots=True)
class Pseudonyms:
    """Turns identifying text into what may be stored. An empty key means that the site stores clear text."""

    key: bytes

    def __call__(self, kind: str, value: str) -> str:
        """The pseudonym of a value; "" stays "". `kind` keeps a name from matching an equal id."""
        return self.digest(kind, value) if value and self.key else value

    def digest(self, kind: str, value: str) -> str:
        """The keyed digest of a value that no site stores in its stead; without a key it is not secret."""
        return hmac.new(self.key, f"{kind}\0{value}".encode(), hashlib.sha256).hexdigest()[:LENGTH]

    @property
    def fingerprint(self) -> str:
        """What the database remembers, so that one database never holds pseudonyms of two keys."""
        if not self.key:
            return "clear text"
        return hmac.new(self.key, b"nightread fingerprint", hashlib.sha256).hexdigest()[:LENGTH]


def load_key(given: str, file: Path) -> bytes:
    """The site's key: as given, else from the file, which is made on first use and readable by its owner only."""
    if given:
        return given.encode()
    try:
        return _read_or_make(file)
    except OSError as error:
        raise UsageError(
            f"the pseudonym key {str(file)!r} cannot be read or made ({error.strerror}); "
            "set NIGHTREAD_PSEUDONYM_KEY, or point NIGHTREAD_HOME to a folder you may write"
        ) from error


def _read_or_make(file: Path) -> bytes:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(f".{os.getpid()}.new")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_hex(32) + "\n", encoding="ascii")
        try:
            os.link(fresh, file)  # atomic, and never over a key that another process made meanwhile
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    key = file.read_bytes().strip()
    if not key:
        raise UsageError(f"the pseudonym key {str(file)!r} is empty; restore it from your backup")
    return key
