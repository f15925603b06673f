"""Every metric: its kind, its labels, what it means, and what to do when it moves. Nothing is measured here.

`worker.metrics` makes the meters of this table and no others. A label is one of a few known words, never an id,
a key or a name.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
Queue = Literal["convert", "caption"]  # what work goes through; `lane` tells caption's three apart
Stage = Literal["claim", "convert", "load", "caption", "settle", "release", "scan", "head", "shadow"]
ShadowOutcome = Literal["reported", "refused", "failed"]
TrainingOutcome = Literal["trained", "promoted", "kept", "failed"]
EventOutcome = Literal["recorded", "repeated", "ignored", "gone", "deferred", "dead"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One name that Prometheus sees, without the `_total` of a counter or the `_bucket` of a histogram."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    remedy: str  # what to do when it moves
    buckets: tuple[float, ...] = ()  # of a histogram


SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

METRICS = (
    # What is left. Read from the ledger at each scrape, so every process that shows them shows the same: use
    # max(), never sum().
    Metric(
        name="nightread_backlog",
        kind="gauge",
        labels=("queue", "lane"),
        meaning="Objects (convert) or studies (caption) that are due and that nobody works on",
        remedy="Grows for an hour: start more workers of this queue; grows while none is seen: see why they ended",
    ),
    Metric(
        name="nightread_backlog_oldest_seconds",
        kind="gauge",
        labels=("queue", "lane"),
        meaning="How long the oldest of them has waited",
        remedy="Above your promise for the lane: add workers, or raise the lane's weight",
    ),
    Metric(
        name="nightread_working",
        kind="gauge",
        labels=("queue", "lane"),
        meaning="Objects or studies that a worker has leased",
        remedy="0 while the backlog is not: no worker runs, the queue is paused, or the broker is away",
    ),
    Metric(
        name="nightread_deferred",
        kind="gauge",
        labels=("queue", "lane"),
        meaning="Objects or studies put off until later after a failed attempt",
        remedy="Grows: a service that the work needs is away; `nightread status` names the reasons",
    ),
    Metric(
        name="nightread_queue_paused",
        kind="gauge",
        labels=("queue",),
        meaning="1 while the breaker or an operator holds the queue",
        remedy="1: read the reason in `nightread status`, mend it, then `nightread resume QUEUE`",
    ),
    Metric(
        name="nightread_workers",
        kind="gauge",
        labels=("kind",),
        meaning="Processes of the fleet that told of themselves within the last minute",
        remedy="Fewer than you started: look at the missing machine's log for the last line",
    ),
    Metric(
        name="nightread_ledger_up",
        kind="gauge",
        labels=(),
        meaning="1 when the ledger answered this scrape; at 0 the gauges above are missing",
        remedy="0: look after the database; the workers wait and lose nothing",
    ),
    Metric(
        name="nightread_messages",
        kind="gauge",
        labels=("queue",),
        meaning="Messages ready in a queue of the broker",
        remedy="Grows in nightread.dead: a person must look; elsewhere: no worker takes from that queue",
    ),
    # What was done, by this process.
    Metric(
        name="nightread_settled",
        kind="counter",
        labels=("queue", "outcome"),
        meaning="Objects or studies that ended: converted, reported, skipped, failed or gone",
        remedy="Stands still while the backlog grows: the workers hang; failed grows: see nightread_dead",
    ),
    Metric(
        name="nightread_events",
        kind="counter",
        labels=("outcome",),
        meaning="Bucket events: recorded, repeated, ignored (not for us), gone, deferred or dead",
        remedy="Stands still by day: the bucket no longer notifies; dead grows: look into nightread.dead",
    ),
    Metric(
        name="nightread_missed_events",
        kind="counter",
        labels=(),
        meaning="Objects that a listing found and no event had told of",
        remedy="Grows all the time: the bucket loses events; see its notification settings and queue limits",
    ),
    Metric(
        name="nightread_retries",
        kind="counter",
        labels=("queue",),
        meaning="Attempts that failed and will be made again later",
        remedy="Grows: storage or database is slow or away; it mends itself once they are back",
    ),
    Metric(
        name="nightread_dead",
        kind="counter",
        labels=("queue",),
        meaning="Objects or studies that failed for good",
        remedy="Grows quickly: a broken source or model; mend it, then `nightread retry`",
    ),
    Metric(
        name="nightread_leases_expired",
        kind="counter",
        labels=("queue",),
        meaning="Work whose worker vanished and that went to another",
        remedy="Grows: workers are killed (memory?) or hang, or NIGHTREAD_LEASE_SECONDS is too short",
    ),
    Metric(
        name="nightread_given_up",
        kind="counter",
        labels=("queue",),
        meaning="Work that failed because workers died over it NIGHTREAD_ATTEMPTS times",
        remedy="Any: an input that kills workers; `nightread status` names it, keep it for a report",
    ),
    Metric(
        name="nightread_stage_seconds",
        kind="histogram",
        labels=("stage",),
        meaning="Time of one stage for one batch (convert and head: one object)",
        remedy="claim or settle grow: the database; head or load: the storage; caption: the device",
        buckets=SECONDS,
    ),
    Metric(
        name="nightread_batch_size",
        kind="histogram",
        labels=("stage",),
        meaning="Objects or studies that a stage took at once",
        remedy="Small while the backlog is large: views load slower than the model works; see stage load",
        buckets=SIZES,
    ),
    Metric(
        name="nightread_gpu_memory_bytes",
        kind="gauge",
        labels=("state",),
        meaning="Memory of this worker's GPU: used and total",
        remedy="Used nears total: lower NIGHTREAD_BATCH_SIZE, or see what else uses the card",
    ),
    # Of models.
    Metric(
        name="nightread_champion_changes",
        kind="counter",
        labels=("outcome",),
        meaning="Times that this captioner took a new champion or shadow (taken), or could not (failed)",
        remedy="failed grows: the old model works on; look for model_not_taken in the log, it names the reason",
    ),
    Metric(
        name="nightread_shadow_studies",
        kind="counter",
        labels=("outcome",),
        meaning="Studies that the model on trial reported, refused, or failed on; none of them is harmed by it",
        remedy="failed grows: look for shadow_failed in the log; `nightread models shadow none` ends the trial",
    ),
    Metric(
        name="nightread_trainings",
        kind="counter",
        labels=("outcome",),
        meaning="Training runs that ended: trained (no more was asked), promoted, kept (not promoted) or failed",
        remedy="kept: `nightread models show` tells which criteria were not met; failed: `nightread train --list`",
    ),
    Metric(
        name="nightread_unlearnt_reports",
        kind="gauge",
        labels=(),
        meaning="Verified or corrected reports that came since the last training run was asked for",
        remedy="Beyond NIGHTREAD_TRAIN_AFTER: no `worker training` runs, or the last one failed",
    ),
    # Of `nightread up` alone.
    Metric(
        name="nightread_processes",
        kind="gauge",
        labels=("kind",),
        meaning="Processes of this kind that run under `nightread up`",
        remedy="0 for longer than a minute: it dies at its start; its log tells why",
    ),
    Metric(
        name="nightread_process_deaths",
        kind="counter",
        labels=("kind",),
        meaning="Processes that `nightread up` started anew because they ended",
        remedy="Grows: look for process_died in the log, and for the lines before it",
    ),
)


def as_markdown() -> str:
    """The table that the documents show."""
    lines = ["| Metric | Labels | Meaning | When it moves |", "|---|---|---|---|"]
    for metric in METRICS:
        name = metric.name + ("_total" if metric.kind == "counter" else "")
        lines.append(f"| `{name}` | {', '.join(metric.labels)} | {metric.meaning} | {metric.remedy} |")
    return "\n".join(lines) + "\n"
