"""What a validation report amounts to: findings with what to do about each, worst first.

They are derived whenever they are shown: what has been decided since (rejected lines accepted) is no finding any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets_app import paths
from datasets_app.models import DatasetVersion
from loracraft.numbers import thousands

SEVERITIES = ("error", "warning", "note")
# More than this share of all rows makes a warning an error.
MOST = 0.5
FILTER = "Filter them out"

Finding = dict[str, Any]


def of(version: DatasetVersion, report: dict[str, Any]) -> list[Finding]:
    """`report` is that of a check, under a mapping that may have been another one."""
    found = [*about_columns(version, report), *about_rejected(version, report)]
    if "parts" in report:
        found += [
            *about_missing(report),
            *about_repeated(report),
            *about_parts(version, report),
            *about_lengths(report),
        ]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding["severity"]))


def finding(severity: str, title: str, text: str, label: str = "", **query: Any) -> Finding:
    """`label` and `query`: a link to the tab and form where it can be put right."""
    return {"severity": severity, "title": title, "text": text, "label": label, "query": query}


def rows(count: int, words: str = "") -> str:
    return f"{thousands(count)} row{'' if count == 1 else 's'}{' ' if words else ''}{words}"


def have(count: int) -> str:
    return "has" if count == 1 else "have"


def about_rejected(version: DatasetVersion, report: dict[str, Any]) -> Iterator[Finding]:
    count = report["rejected"]["count"]
    if not count:
        return
    if version.origin.get("version"):
        yield finding("note", f"{rows(count)} of version {version.origin['version']} left out", "By the filters.")
    elif version.accepted:
        yield finding(
            "note", f"{rows(count)} of the file could not be read", "They are listed below, and can be downloaded."
        )
    else:
        yield finding(
            "error",
            f"{rows(count)} of the file could not be read",
            "Keep the good rows or discard the import: until then nothing can be trained on it.",
        )


def about_columns(version: DatasetVersion, report: dict[str, Any]) -> Iterator[Finding]:
    if not version.mapping:
        yield finding(
            "error",
            "Question and answer are not chosen",
            "Until they are, only the columns as such can be checked.",
            "Choose the columns",
            tab="mapping",
        )
    asked = {place.column for role in ("instruction", "response") if (place := used_for(version, role))}
    for column in report["columns"]:
        yield from about_column(column, report["rows"], column["name"] in asked)


def used_for(version: DatasetVersion, role: str) -> paths.Place | None:
    return paths.resolve(version.columns, version.mapping.get(role) or "")


def about_column(column: dict[str, Any], total: int, asked: bool) -> Iterator[Finding]:
    name, mixed = column["name"], column["mixed"]
    if column["blank"] == total:
        yield finding("warning" if asked else "note", f"Column “{name}” is empty", "No row has anything in it.")
    if mixed:
        few = "numbers" if mixed["numbers"] < mixed["words"] else "words"
        yield finding(
            "warning" if asked else "note",
            f"Column “{name}” mixes words and numbers",
            f"{rows(mixed['numbers'])} {have(mixed['numbers'])} a number, {rows(mixed['words'])} words."
            f" Look at those with {few}: they may be slips of whoever wrote the file.",
        )
    if column["over_long"]:
        yield finding(
            "warning" if asked else "note",
            f"{rows(column['over_long'])} {have(column['over_long'])} a very long “{name}”",
            f"The longest has {thousands(column['lengths']['max'])} characters."
            + " Long cells cost memory, and what is beyond the sequence length is not learnt from.",
            "Set a longest length",
            tab="versions",
        )


def about_missing(report: dict[str, Any]) -> Iterator[Finding]:
    lost, total = report["skipped"], report["rows"]
    for reason, what in (("no_question", "no question"), ("no_answer", "no answer")):
        if lost[reason]:
            yield finding(
                "error" if lost[reason] > total * MOST else "warning",
                f"{rows(lost[reason])} {have(lost[reason])} {what}",
                "Training leaves them out. Filter them out, or choose another column if this is not the right one.",
                FILTER,
                tab="versions",
                empty="on",
            )
    if lost["no_reference"]:
        yield finding(
            "error" if lost["no_reference"] > total * MOST else "warning",
            f"The rule finds no final answer in {rows(lost['no_reference'])}",
            "Training leaves them out. Choose another rule for the final answer, or filter them out.",
            "Choose the rule",
            tab="mapping",
        )


def about_repeated(report: dict[str, Any]) -> Iterator[Finding]:
    same, asked, wrong = report["duplicate_rows"], report["duplicate_questions"], report["contradictions"]
    if wrong["count"]:
        yield finding(
            "warning",
            f"{rows(wrong['count'])} {have(wrong['count'])} another answer to a question asked before",
            "Only one can be right, unless the question allows several. The reward compares each with its own.",
            "Keep one row a question",
            tab="versions",
            same_questions="on",
        )
    if same["count"]:
        yield finding(
            "warning",
            f"{rows(same['count'])} repeat an earlier row".replace("row repeat", "row repeats", same["count"] == 1),
            "Every column is the same. The model sees them more often than the others.",
            FILTER,
            tab="versions",
            same_rows="on",
        )
    more = asked["count"] - same["count"] - wrong["count"]
    if more > 0:
        yield finding(
            "note",
            f"{rows(more)} ask a question again".replace("row ask", "row asks", more == 1),
            "With the same answer, but something else differs.",
            "Keep one row a question",
            tab="versions",
            same_questions="on",
        )


def about_parts(version: DatasetVersion, report: dict[str, Any]) -> Iterator[Finding]:
    shared, overlap, parts = report["shared"], report["overlap"], report["parts"]
    if shared["count"]:
        yield finding(
            "warning",
            f"{rows(shared['count'])} for training {have(shared['count'])} a question of another part",
            "The source's own split asks the same in validation or test. Training leaves these rows out.",
        )
    if overlap["count"]:
        yield finding(
            "warning",
            f"{rows(overlap['count'])} for training look{'s' if overlap['count'] == 1 else ''} like a test question",
            "The score of the test could be better than the model. Compare the pairs below.",
            "See the pairs",
            tab="validation",
            anchor="overlap",
        )
    if not parts["held_out"]:
        yield finding(
            "warning",
            "No row is held out",
            "Without them nobody can tell whether training helped.",
            "Set the split",
            tab="mapping",
        )
    if parts["duplicates"] and not version.split.get("column"):
        yield finding(
            "note",
            f"{rows(parts['duplicates'])} {have(parts['duplicates'])} a held-out question again",
            "They are in no part, so that no question is both trained on and tested.",
        )


def about_lengths(report: dict[str, Any]) -> Iterator[Finding]:
    tokens = report["tokens"]
    if tokens["unit"] != "tokens":
        yield finding(
            "note",
            "Lengths are in characters",
            f"The tokenizer of {tokens['model'] or 'a model'} is not on this machine. A token of English text is about"
            " four characters.",
        )
    over = (tokens.get("over") or {}).get("prompt") or 0
    if over:
        share = over / tokens["measured"]
        yield finding(
            "error" if share > MOST else "warning",
            f"{rows(over)} {have(over)} a prompt over {thousands(tokens['limit'])} tokens",
            f"That is {share:.1%} of those that were measured. Training leaves them out. Choose a longer sequence"
            " length for the session, or leave out long questions.".replace("%", " %"),
            "Set a longest length",
            tab="versions",
        )
