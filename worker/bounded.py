"""A question that may hang, such as one to a service behind a cut network, asked without hanging.

It is asked in a thread of its own, one at a time: while one hangs, no second is begun. An answer that came too
late is given to whoever asks next, so that a slow service is slow and not away.
"""

import threading
import time
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future
from typing import Generic, TypeVar

from pipeline.errors import Unavailable

Answer = TypeVar("Answer")


class Bounded(Generic[Answer]):
    """Asks `question` and waits at most `seconds` for its answer."""

    def __init__(self, name: str, question: Callable[[], Answer], *, seconds: float) -> None:
        self._name, self._question, self._seconds = name, question, seconds
        self._lock = threading.Lock()
        self._asked: Future[Answer] | None = None
        self._begun = 0.0
        self._was_given = False

    def __call__(self) -> Answer:
        """The answer, or what the question raised.

        Raises:
            Unavailable: No answer in time; the next call goes on waiting for the same one.
        """
        return self.wait(self.begin())

    def begin(self) -> "Future[Answer]":
        """Ask, unless it is being asked or was answered too late for whoever asked before."""
        with self._lock:
            if self._asked is None or (self._asked.done() and self._was_given):
                self._asked, self._begun, self._was_given = Future(), time.monotonic(), False
                threading.Thread(target=self._ask, args=(self._asked,), name=self._name, daemon=True).start()
            return self._asked

    def wait(self, asked: "Future[Answer]") -> Answer:
        """The answer to what `begin` asked."""
        done, _ = futures.wait([asked], max(0.0, self._begun + self._seconds - time.monotonic()))
        if not done:
            raise Unavailable(f"no answer for {time.monotonic() - self._begun:.0f} s")
        self._was_given = True
        return asked.result()

    def _ask(self, asked: "Future[Answer]") -> None:
        try:
            asked.set_result(self._question())
        except BaseException as error:  # noqa: BLE001  # handed to whoever asked
            asked.set_exception(error)
