"""The conditions that work can meet, and what each one means for the work.

NightreadError            one line for a person: what was wrong, with the value, and what to do
├── UsageError            the person asked for something that cannot be done; nothing was started
├── BadObject             these bytes will never be usable: never retry
│   └── NotForUs          a sound object that no report is made from: skip, and say why
├── Unavailable           a service or disk did not answer: the same work may succeed later
│   └── ObjectChanged     the object is gone or is no longer the one that was listed
└── CheckpointError       a model's files are missing, damaged or of another format

Anything else that is raised is our own fault (a crash); `worker.retry` holds the one table that decides.
"""


class NightreadError(Exception):
    """The base of every condition that a person may read about in one line."""


class UsageError(NightreadError):
    """What was asked for cannot be done as asked; the message names the value and the remedy."""


class BadObject(NightreadError):
    """The object's bytes are damaged or hostile; retrying the same bytes cannot help."""


class NotForUs(BadObject):
    """The object is sound, but it is not an image that reports are made from."""


class Unavailable(NightreadError):
    """A bucket, database or disk did not serve us now; the same work may succeed later."""


class ObjectChanged(Unavailable):
    """The object was deleted or replaced since it was listed; a later listing tells its new state."""


class CheckpointError(NightreadError):
    """A checkpoint is missing a file, fails a checksum, or was written by another format version."""
