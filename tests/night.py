"""Drives real `nightread` processes for the acceptance tests: start, watch, kill, read the ledger afterwards."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("NIGHTREAD_TEST_DATA", ROOT.parent / "shared"))


@dataclass(frozen=True, kw_only=True)
class Night:
    """One home folder and source; each `run` is a process of its own."""

    home: Path
    source: Path | str
    env: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `nightread …` without waiting."""
        return subprocess.Popen(
            [sys.executable, "-m", "worker", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def call(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run `nightread …` to its end."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def run(self, *arguments: str, expect: Sequence[int] = (0,), timeout: float = 600) -> dict[str, Any]:
        """`nightread run --json`; its exit code must be one of `expect`."""
        done = self.call("run", "--json", *arguments, timeout=timeout)
        assert done.returncode in expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return dict(json.loads(done.stdout))

    @property
    def environment(self) -> dict[str, str]:
        """Ours alone: no setting of the machine's leaks in."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NIGHTREAD_", "AWS_"))}
        return kept | {
            "NIGHTREAD_HOME": str(self.home),
            "NIGHTREAD_SOURCE": str(self.source),
            "NIGHTREAD_PSEUDONYM_KEY": "test",
            **self.env,
        }

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the embedded ledger."""
        with closing(sqlite3.connect(self.home / "nightread.db", timeout=30)) as connection:
            return connection.execute(sql).fetchall()

    def count_reports(self) -> int:
        """How many reports there are; 0 while there is no ledger yet."""
        if not (self.home / "nightread.db").exists():
            return 0
        tables = self.query("SELECT count(*) FROM sqlite_master WHERE name = 'report'")
        return int(self.query("SELECT count(*) FROM report")[0][0]) if tables[0][0] else 0

    def leases(self) -> int:
        """How much work is still claimed."""
        counts = (
            self.query(f"SELECT count(*) FROM {table} WHERE lease_owner IS NOT NULL")
            for table in ("object", "study_revision")
        )
        return sum(int(rows[0][0]) for rows in counts)

    def outcome(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that two runs over the same objects must agree on."""
        return {
            "objects": self.query('SELECT "key", state, reason FROM object ORDER BY "key"'),
            "studies": self.query(
                "SELECT study_instance_uid, state, reason FROM study_status ORDER BY study_instance_uid"
            ),
            "reports": self.query(
                "SELECT study_instance_uid, findings, impression, round(confidence, 3), model_name, model_version,"
                " weights_sha256, input_count FROM latest_report ORDER BY study_instance_uid"
            ),
            "counts": self.query("SELECT count(*), count(DISTINCT revision_id) FROM report")
            + self.query("SELECT count(*) FROM report_input"),
        }
