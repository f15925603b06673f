"""The run lock ends with its process, however that ends and whatever children it leaves."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.engine import sqlite_file
from db.errors import DatabaseMisconfigured, RunInProgress
from db.locks import run_lock

HOLDER = """
import os, sys, time
from db.engine import open_engine
from db.locks import run_lock
with run_lock(open_engine(sys.argv[1]), "night run"):
    if os.fork() == 0:
        time.sleep(60)
    print(os.getpid(), flush=True)
    time.sleep(60)
"""


def is_free(engine: Engine) -> bool:
    """Whether a run could start now."""
    try:
        with run_lock(engine, "second"):
            return True
    except RunInProgress:
        return False


def test_a_killed_run_leaves_no_lock_though_its_child_lives(engine: Engine) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLDER, str(engine.url)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, process_group=0) as holder:
        try:
            assert holder.stdout is not None
            pid = holder.stdout.readline().strip()
            with pytest.raises(RunInProgress, match=rf"night run \(process {pid} on "), run_lock(engine, "second"):
                pass
            holder.kill()
            holder.wait(timeout=5)
            deadline = time.monotonic() + 5
            while not is_free(engine):  # the child may not have run yet
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            os.killpg(holder.pid, 9)


def test_the_lock_lies_beside_the_database_and_is_empty_when_free(engine: Engine) -> None:
    file = sqlite_file(engine)
    assert file is not None
    lock = Path(f"{file}.lock")
    with run_lock(engine, "run"):
        assert f"process {os.getpid()}" in lock.read_text()
    assert lock.read_text() == ""


def test_a_lock_file_that_cannot_be_made_is_told(engine: Engine) -> None:
    Path(f"{sqlite_file(engine)}.lock").mkdir()
    with pytest.raises(DatabaseMisconfigured, match="cannot be opened: Is a directory"), run_lock(engine, "run"):
        pass
