"""Studies arrive while everything that can be killed is killed with -9 and started again, in a random order.

The deck of victims holds each kind of process and each service at least once, so that no seed spares one.
"""

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from tests.fleet import KINDS, Fleet, Member, wait_for
from tests.services.service import Service
from tests.verdict import Verdict, all_ended, judge

SETTINGS = {
    "NIGHTREAD_LEASE_SECONDS": "15",
    "NIGHTREAD_SCAN_SECONDS": "10",
    "NIGHTREAD_CHUNK_SIZE": "8",
    "NIGHTREAD_BATCH_SIZE": "8",
    "NIGHTREAD_ATTEMPTS": "50",  # no study is to blame for these deaths
}
SETTLE_SECONDS = 240  # most that the last studies may take once nothing is killed any more
SERVICES = ("rabbitmq", "postgres", "s3")
VICTIMS = (*KINDS, *SERVICES)
SECONDS_PER_KILL = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ordeal:
    """What was done and what came of it."""

    studies: int
    kills: Counter[str]
    seconds: float
    verdict: Verdict

    def line(self) -> str:
        """For people."""
        kills = ", ".join(f"{kind} {count}" for kind, count in sorted(self.kills.items()))
        told = self.verdict
        return (
            f"studies {self.studies}, kills: {kills}; {self.seconds:.0f} s, lost {len(told.lost)}, "
            f"doubled {told.doubled}, superseded {told.superseded}"
        )


@dataclass(kw_only=True)
class Chaos:
    """Kills and starts again, as init would a process and an operator a service."""

    fleet: Fleet
    choice: random.Random
    members: dict[str, Member]
    kills: Counter[str]

    def strike(self, victim: str) -> None:
        """Kill one and start it again after a moment."""
        self.kills[victim] += 1
        away = self.choice.uniform(0.1, 3)
        if victim in SERVICES:
            service: Service = getattr(self.fleet.site, victim)
            service.kill()
            time.sleep(away)
            service.start()
            return
        self.members[victim].kill()
        time.sleep(away)
        self.members[victim] = self.fleet.start(*KINDS[victim])

    def revive(self) -> bool:
        """Start what ended by itself, as init would; false, so that a wait can call it."""
        for kind, member in self.members.items():
            if not member.alive:
                # One that is started while a service is away refuses to, with exit 1; one at work never ends so.
                self.kills[f"{kind} by itself" if member.started else f"{kind} refused"] += 1
                self.members[kind] = self.fleet.start(*KINDS[kind])
        return False


def endure(fleet: Fleet, *, studies: int, seed: int, rounds: int) -> Ordeal:
    """Let studies arrive, deal `rounds` decks of victims meanwhile, and wait until all have ended."""
    fleet.env |= SETTINGS
    choice = random.Random(seed)
    deck = [victim for _ in range(rounds) for victim in choice.sample(VICTIMS, len(VICTIMS))]
    begun = time.monotonic()
    members = {kind: fleet.start(*arguments) for kind, arguments in KINDS.items()}
    chaos = Chaos(fleet=fleet, choice=choice, members=members, kills=Counter())
    fleet.bind()
    numbers = range(studies)
    with ThreadPoolExecutor(1) as threads:
        arriving = threads.submit(fleet.arrivals.send_all, numbers, seconds=SECONDS_PER_KILL * len(deck))
        for victim in deck:
            time.sleep(choice.uniform(1, 4))
            chaos.revive()
            chaos.strike(victim)
        arriving.result()
    with suppress(AssertionError):  # the verdict says which did not end
        wait_for(lambda: chaos.revive() or all_ended(fleet, numbers), SETTLE_SECONDS, "every study ended")
    seconds = time.monotonic() - begun
    return Ordeal(studies=studies, kills=chaos.kills, seconds=seconds, verdict=judge(fleet, numbers))
