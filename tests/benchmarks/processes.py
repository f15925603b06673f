"""How much more two converting processes do than one; a part of `tests.benchmarks.convert`.

By CPU time: what an image costs alone and beside a neighbour, and so what two free cores would do. And by the
clock, which says the same where two cores are free, and tells of the other work where they are not.
"""

import multiprocessing
import os
import statistics
import time
from multiprocessing.connection import Connection
from pathlib import Path

import cv2

from pipeline.conversion import convert
from pipeline.study import Preprocessing

ROUNDS, IMAGES = 15, 20
WANTED = Preprocessing(height=512, width=512, fit="squash")


def serve(pipe: Connection, path: Path) -> None:
    """Convert as many images as each message says; tell the CPU seconds."""
    cv2.setNumThreads(1)
    while images := pipe.recv():
        began = time.process_time()
        for _ in range(images):
            with path.open("rb", buffering=0) as stream:
                convert(stream, size=path.stat().st_size, preprocessing=WANTED)
        pipe.send(time.process_time() - began)


def measure(path: Path) -> dict[str, float]:
    """Images per second of two processes over those of one; prints the load that they met."""
    context = multiprocessing.get_context("spawn")
    pipes = []
    for _ in range(2):
        pipe, theirs = context.Pipe()
        context.Process(target=serve, args=(theirs, path), daemon=True).start()
        pipes.append(pipe)
    _work(pipes, 2)
    clock, cpu = [], []
    for _ in range(ROUNDS):
        (alone, alone_cpu), (both, both_cpu) = _work(pipes[:1], IMAGES), _work(pipes, IMAGES)
        clock.append(2 * alone / both)
        cpu.append(2 * 2 * alone_cpu / both_cpu)
    for pipe in pipes:
        pipe.send(0)
    found = {
        "two_process_scaling": round(statistics.median(cpu), 2),
        "two_process_scaling_by_clock": round(statistics.median(clock), 2),
    }
    print(f"\ntwo processes do {found['two_process_scaling']} times as much as one by CPU time, ", end="")
    print(f"{found['two_process_scaling_by_clock']} by the clock; the machine's load {os.getloadavg()[0]:.1f}")
    return found


def _work(pipes: list["Connection[object, object]"], images: int) -> tuple[float, float]:
    """Seconds by the clock and of all CPUs."""
    began = time.perf_counter()
    for pipe in pipes:
        pipe.send(images)
    spent = sum(float(str(pipe.recv())) for pipe in pipes)
    return time.perf_counter() - began, spent
