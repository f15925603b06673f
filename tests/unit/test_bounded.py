"""A question that hangs holds nobody up, and a late answer is not lost."""

import threading

import pytest

from pipeline.errors import Unavailable
from worker.bounded import Bounded


def test_the_answer_or_what_was_raised_comes_through() -> None:
    answers = iter([1, 2])
    ask = Bounded("test", lambda: next(answers), seconds=5)
    assert (ask(), ask()) == (1, 2)
    with pytest.raises(StopIteration):
        ask()


def test_a_late_answer_goes_to_whoever_asks_next_and_is_then_old() -> None:
    go, asked = threading.Event(), list[int]()

    def question() -> int:
        asked.append(1)
        go.wait(10)
        return len(asked)

    ask = Bounded("test", question, seconds=0.02)
    for _ in range(2):
        with pytest.raises(Unavailable, match="no answer for 0 s"):
            ask()
    go.set()
    ask.begin().result(5)
    assert ask() == 1
    ask.begin().result(5)
    assert ask() == 2
