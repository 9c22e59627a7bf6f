"""The verbs that say which columns are question, input and answer. Everything is proposed at import and may be
corrected until a session uses the version."""

from __future__ import annotations

import re
from typing import Any

from datasets_app import columns, paths, rows, tables
from datasets_app.limits import DETECTION_ROWS, MAX_EXTRA_COLUMNS
from datasets_app.models import DatasetVersion
from datasets_app.problems import DatasetProblem
from datasets_app.rules import RULES

CHANGED_TOO_LATE = "A session uses this version, so it can't change any more. Make a new version to use it differently."
# What a reward's code can take as an argument.
EXTRA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}", re.ASCII)


def sample_of(version: DatasetVersion) -> list[dict[str, Any]]:
    return tables.page(version.path, 0, DETECTION_ROWS)


def section_of(version: DatasetVersion) -> rows.Fields:
    """The columns of the version's own mapping. Raises DatasetProblem if there is none yet."""
    mapping = version.mapping
    if not mapping:
        raise DatasetProblem(f"{version.dataset} has no question and answer column yet. Choose them on its page.")
    return rows.Fields(mapping["instruction"], mapping["response"])


def propose_mapping(version: DatasetVersion, known: dict[str, Any] | None = None) -> None:
    """Fills mapping and report of an unsaved version: as is `known` of its source, else where they can be told."""
    found = detected(version, sample_of(version))
    if known and fits(version, known):
        return
    if found:
        version.mapping = found
        measure(version)


def detected(version: DatasetVersion, sample: list[dict[str, Any]]) -> dict[str, Any]:
    """The mapping that the columns' names and cells suggest, {} if they suggest none. Notes why in the report."""
    guesses = columns.detect(version.columns, sample)
    version.report["detected"] = {role: vars(guess) for role, guess in guesses.items()}
    question, answer = guesses["instruction"].column, guesses["response"].column
    if not (question and answer):
        return {}
    rule = rule_guess(version, answer, sample)
    version.report["detected"]["rule"] = vars(rule)
    return {
        "instruction": question,
        "input": guesses["input"].column,
        "response": answer,
        "rule": rule.name,
        "extra": {},
    }


def rule_guess(version: DatasetVersion, path: str, sample: list[dict[str, Any]] | None = None) -> columns.RuleGuess:
    place = paths.resolve(version.columns, path)
    cells = [place.find(row) for row in sample or sample_of(version)] if place else []
    return columns.guess_rule([tables.text(cell) for cell in cells])


def rule_of(version: DatasetVersion, path: str) -> str:
    return rule_guess(version, path).name


def measure(version: DatasetVersion) -> rows.Parts:
    """Derives the split's default size, unless the user chose one, and counts the parts for the pages."""
    section, split = section_of(version), version.split
    rows.check_columns(version, section)
    looked = rows.look_at(version, section)
    parts = rows.divided(looked, split)
    if split.get("column"):
        split["held_out"] = len(parts.held_out)
    elif not split.get("chosen"):
        split["held_out"] = rows.default_held_out(parts.questions)
        parts = rows.divided(looked, split)
    version.report["parts"] = parts.counts
    return parts


def map_columns(
    version: DatasetVersion,
    instruction: str,
    response: str,
    rule: str = "",
    input: str = "",
    extra: dict[str, str] | None = None,
) -> None:
    """Sets question, input and answer, the rule for the final answer and what rewards get besides; an empty `rule`
    means: detect one. All but the rule are paths.

    Raises DatasetProblem for a path that does not exist, an unknown rule, columns without one usable row, and once
    a session uses the version.
    """
    set_mapping(version, instruction, response, rule, input, extra)
    change(version)


def set_mapping(
    version: DatasetVersion,
    instruction: str,
    response: str,
    rule: str = "",
    input: str = "",
    extra: dict[str, str] | None = None,
) -> None:
    """As map_columns, without saving."""
    check(version, instruction, response, rule, input, extra or {})
    version.mapping = {
        "instruction": instruction,
        "input": input,
        "response": response,
        "rule": rule or rule_of(version, response),
        "extra": extra or {},
    }
    measure(version)
    if not version.report["parts"]["questions"]:
        raise DatasetProblem(nothing_left(version), field="rule")


def fits(version: DatasetVersion, known: dict[str, Any]) -> bool:
    """Takes the mapping of a well-known source, unless the rows have changed since."""
    before, report = version.mapping, dict(version.report)
    try:
        set_mapping(version, **known)
    except DatasetProblem:
        version.mapping, version.report = before, report
        return False
    return True


def check(
    version: DatasetVersion, instruction: str, response: str, rule: str, input: str, extra: dict[str, str]
) -> None:
    rows.check_column(version, instruction, "instruction")
    rows.check_column(version, response, "response")
    if input:
        rows.check_column(version, input, "input")
    if instruction == response:
        raise DatasetProblem("Question and answer can't be the same column.", field="response")
    if input in (instruction, response) and input:
        raise DatasetProblem("The input can't be the question or the answer again. Choose none.", field="input")
    if rule and rule not in RULES:
        raise DatasetProblem(f"There is no rule “{rule}”. Known: {', '.join(RULES)}.", field="rule")
    check_extra(version, extra)


def check_extra(version: DatasetVersion, extra: dict[str, str]) -> None:
    if len(extra) > MAX_EXTRA_COLUMNS:
        raise DatasetProblem(f"At most {MAX_EXTRA_COLUMNS} further columns can be named.", field="extra")
    for name, path in extra.items():
        if not EXTRA_NAME.fullmatch(name):
            raise DatasetProblem(
                f"“{name}” can't be a name that a reward reads. Use letters, digits and _, and begin with a letter.",
                field="extra",
            )
        rows.check_column(version, path, "extra")


def nothing_left(version: DatasetVersion) -> str:
    if version.report["parts"]["skipped"]["no_reference"]:
        label = RULES[version.mapping["rule"]].label
        return f"The rule “{label}” finds no final answer in any row. Choose another rule or column."
    return "No row has both a question and an answer in these columns. Choose others."


NAMES = {"instruction": "question", "input": "input", "response": "answer", "rule": "final answer"}


def auto_map(version: DatasetVersion) -> list[str]:
    """Puts the detected mapping back, and keeps what is named for rewards. Returns what it changed, in words.

    Raises DatasetProblem if nothing can be detected, or once a session uses the version.
    """
    before = version.mapping
    found = detected(version, sample_of(version))
    if not found:
        raise DatasetProblem(
            "Question and answer could not be told by the columns' names or cells. Choose them by hand."
        )
    found["extra"] = before.get("extra") or {}
    changed = differences(before, found)
    if changed:
        map_columns(version, **found)
    return changed


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What `after` does otherwise, in words. No input and an empty one are the same."""
    changed = [name for name in NAMES if (before.get(name) or "") != (after.get(name) or "")]
    said = [changed_words(name, before.get(name) or "", after.get(name) or "") for name in changed]
    return said + (["further columns"] if (before.get("extra") or {}) != (after.get("extra") or {}) else [])


def changed_words(name: str, before: str, after: str) -> str:
    shown = [RULES[value].label if name == "rule" and value in RULES else value for value in (before, after)]
    old, new = (f"“{value}”" if value else "none" for value in shown)
    return f"{NAMES[name]} from {old} to {new}"


def change(version: DatasetVersion) -> None:
    """Saves mapping and split if no session uses the version; one statement, so that none can start meanwhile."""
    free = DatasetVersion.objects.filter(pk=version.pk, sessions__isnull=True)
    if not free.update(mapping=version.mapping, split=version.split, report=version.report):
        raise DatasetProblem(CHANGED_TOO_LATE)


def compatibility(version: DatasetVersion) -> float | None:
    """Share of the rows that have question, answer and final answer; None while the columns aren't chosen."""
    parts = version.report.get("parts")
    if not parts or not version.row_count:
        return None
    return float(1 - sum(parts["skipped"].values()) / version.row_count)


def unused(version: DatasetVersion) -> list[str]:
    """Columns that nothing of the mapping or the split reads."""
    mapping = version.mapping
    read = [mapping.get(name) or "" for name in ("instruction", "input", "response")]
    read += [*(mapping.get("extra") or {}).values(), version.split.get("column") or ""]
    used = {place.column for path in read if path and (place := paths.resolve(version.columns, path))}
    return [column["name"] for column in version.columns if column["name"] not in used]
