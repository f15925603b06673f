"""A site's rules as a YAML file: read strictly, every mistake told at once with its line.

    rules:
      - name: quality control            # shown in reasons: no patient data
        when:                            # all of these must hold; case does not matter
          StationName: {contains: QC}
          SeriesDescription: {one_of: [test, phantom]}
        do: skip                         # skip, prefer, avoid, take, or keep (for the models named)

Assumes a file of a person's size. Knows only the schema; what rules mean is in `rules`.
"""

import difflib
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from pipeline.errors import UsageError
from pipeline.rules import AGE, TAGS, Act, Condition, Rule, Rules

LARGEST = 1 << 20
KEYS = ("name", "when", "do", "models")
TEXT_COMPARISONS = ("equals", "one_of", "contains", "matches")
AGE_COMPARISONS = ("at_least", "below")


def load_rules(path: Path) -> Rules:
    """The rules in the file; UsageError lists whatever is wrong with it."""
    try:
        content = path.read_bytes()[: LARGEST + 1]
    except OSError as error:
        raise UsageError(
            f"the rules {str(path)!r} cannot be read ({error.strerror}); see NIGHTREAD_RULES"
        ) from error
    return parse_rules(content, str(path))


def parse_rules(content: bytes, name: str) -> Rules:
    """As `load_rules`, from the file's bytes."""
    if len(content) > LARGEST:
        raise UsageError(f"the rules {name!r} are larger than {LARGEST >> 20} MB: name another file")
    try:
        root = yaml.compose(content.decode("utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        where = getattr(getattr(error, "problem_mark", None), "line", None)
        line = "" if where is None else f" in line {where + 1}"
        raise UsageError(f"the rules {name!r} are no YAML in UTF-8{line}: mend or remove that") from error
    reading = _Reading()
    rules = reading.rules(root)
    if reading.mistakes:
        raise UsageError(f"the rules {name!r} are wrong: {reading.told()}")
    return Rules(rules=rules, sha256=hashlib.sha256(content).hexdigest())


class _Reading:
    """Walks the file's nodes and collects what is wrong with them."""

    def __init__(self) -> None:
        self.mistakes: list[tuple[int, str]] = []

    def told(self) -> str:
        """All mistakes in the order of their lines."""
        return "; ".join(f"line {line}: {what}" for line, what in sorted(self.mistakes, key=lambda one: one[0]))

    def rules(self, root: yaml.Node | None) -> tuple[Rule, ...]:
        if not isinstance(root, yaml.MappingNode):
            self.mistakes.append((1, "the file must begin with `rules:`"))
            return ()
        listed = self._fields(root, ("rules",)).get("rules")
        if not isinstance(listed, yaml.SequenceNode):
            self._wrong(root, "`rules` must be a list of rules, each with a name")
            return ()
        rules = [self._rule(node) for node in listed.value]
        self._tell_twins(listed.value, rules)
        return tuple(rule for rule in rules if rule is not None)

    def _tell_twins(self, nodes: Iterable[yaml.Node], rules: Iterable[Rule | None]) -> None:
        seen: set[str] = set()
        for node, rule in zip(nodes, rules, strict=True):
            if rule is not None and rule.name in seen:
                self._wrong(node, f"a second rule named {rule.name!r}: a reason must name one")
            seen |= {rule.name} if rule else set()

    def _rule(self, node: yaml.Node) -> Rule | None:
        if not isinstance(node, yaml.MappingNode):
            self._wrong(node, "a rule must have `name`, `do`, and may have `when`")
            return None
        fields = self._fields(node, KEYS)
        (name,) = self._texts(fields.get("name")) or ("",)
        if not name:
            self._wrong(node, "a rule needs a `name`, a line of text")
        (done,) = self._texts(fields.get("do")) or ("",)
        if done not in list(Act):
            self._wrong(
                fields.get("do", node),
                f"`do` is one of {', '.join(Act)}{_meant(done, [act.value for act in Act])}",
            )
            return None
        models = self._texts(fields.get("models"), several=True)
        if (done == Act.KEEP) != bool(models):
            self._wrong(
                node, "`models` names the models that `do: keep` keeps an image for, and goes with it alone"
            )
        return Rule(name=name, act=Act(done), conditions=self._conditions(fields.get("when")), models=models)

    def _conditions(self, node: yaml.Node | None) -> tuple[Condition, ...]:
        if node is None:
            return ()
        if not isinstance(node, yaml.MappingNode):
            self._wrong(node, "`when` must list attributes, as in `Modality: {equals: CR}`")
            return ()
        found = [self._condition(attribute, how) for attribute, how in self._fields(node, (*TAGS, AGE)).items()]
        return tuple(condition for one in found for condition in one)

    def _condition(self, attribute: str, node: yaml.Node) -> list[Condition]:
        known = AGE_COMPARISONS if attribute == AGE else TEXT_COMPARISONS
        if not isinstance(node, yaml.MappingNode) or not node.value:
            self._wrong(node, f"{attribute} must be compared, as in `{attribute}: {{{known[0]}: …}}`")
            return []
        return [
            condition
            for comparison, value in self._fields(node, known).items()
            if (condition := self._compared(attribute, comparison, value))
        ]

    def _compared(self, attribute: str, comparison: str, node: yaml.Node) -> Condition | None:
        texts = self._texts(node, several=comparison != "equals")
        if attribute == AGE:
            try:
                (number,) = map(float, texts)
            except ValueError:
                self._wrong(node, f"`{comparison}` of {AGE} must be one number of years")
                return None
            return Condition(attribute=attribute, comparison=comparison, number=number)
        if not texts:
            self._wrong(
                node, f"`{comparison}` must be a text{'' if comparison == 'equals' else ' or a list of texts'}"
            )
        if comparison != "matches":
            return Condition(
                attribute=attribute, comparison=comparison, texts=tuple(text.casefold() for text in texts)
            )
        for text in texts:
            try:
                re.compile(text)
            except re.error as error:
                self._wrong(node, f"{text!r} is no regular expression ({error.msg})")
        return Condition(attribute=attribute, comparison=comparison, texts=texts)

    def _fields(self, node: yaml.MappingNode, known: tuple[str, ...]) -> dict[str, yaml.Node]:
        """The values by key; unknown and repeated keys are told."""
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if name not in known:
                self._wrong(key, f"unknown key {name!r}{_meant(name, known) or '; known are ' + ', '.join(known)}")
            elif name in fields:
                self._wrong(key, f"{name!r} is there twice")
            else:
                fields[name] = value
        return fields

    def _texts(self, node: yaml.Node | None, *, several: bool = False) -> tuple[str, ...]:
        """One text, or a list of them where several may stand; () when it is neither."""
        if isinstance(node, yaml.ScalarNode):
            return (str(node.value),)
        if several and isinstance(node, yaml.SequenceNode):
            inner = [part.value for part in node.value if isinstance(part, yaml.ScalarNode)]
            return tuple(map(str, inner)) if len(inner) == len(node.value) else ()
        return ()

    def _wrong(self, node: yaml.Node, what: str) -> None:
        self.mistakes.append((node.start_mark.line + 1, what))


def _meant(name: str, known: Iterable[str]) -> str:
    by_lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""
