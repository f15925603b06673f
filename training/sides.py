"""Which splits lie on one side of the line between what is learnt from and what judges."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

LEARNT = "learnt from"


def sides_of(splits: Iterable[str], learnt: Iterable[str]) -> dict[str, str]:
    """Each split's side: those that are learnt from share one, every other is its own."""
    together = frozenset(learnt)
    return {split: LEARNT if split in together else split for split in dict.fromkeys(splits)}


def on_several(named: Iterable[tuple[str, str]], sides: Mapping[str, str]) -> dict[str, list[str]]:
    """Of names with a split each: those on several sides, with their splits."""
    splits: dict[str, set[str]] = defaultdict(set)
    for name, split in named:
        splits[name].add(split)
    return {name: sorted(there) for name, there in splits.items() if len({sides[split] for split in there}) > 1}
