import re
from pathlib import Path

from django.core.checks import run_checks

from rewards import sandbox_check
from rewards.sandbox import jail_process
from tests.rewards.attacks import DENIALS, ESCAPES, RARE_CALLS


def test_nothing_is_said_where_the_sandbox_holds(monkeypatch):
    monkeypatch.setattr(jail_process, "unavailable", lambda: "")
    assert sandbox_check.sandbox_is_enforced(None) == []


def test_where_it_does_not_hold_the_reason_and_the_cure_are_said(monkeypatch):
    monkeypatch.setattr(jail_process, "unavailable", lambda: "No seccomp.")
    [said] = [message for message in run_checks() if message.id == "rewards.W001"]
    assert "No seccomp." in said.msg and "Docker" in said.hint


def test_the_table_of_attacks_names_every_attempt_and_none_that_is_not_made():
    root = Path(__file__).resolve().parents[2]
    rows = re.findall(r"^\| (\d+) \| .* \| (.*) \|$", (root / "docs" / "security.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 51))
    named = {name for _, cell in rows for name in cell.split("; ") if not name.startswith("`")}
    attempts = ESCAPES.keys() | {f"D: {name}" for name in DENIALS}
    assert attempts <= named <= attempts | {f"R: {name}" for name in RARE_CALLS}
    tests = "".join(path.read_text() for path in (root / "tests" / "rewards").glob("test_sandbox*.py"))
    for name in re.findall(r"`(test_\w+)`", " ".join(cell for _, cell in rows)):
        assert f"def {name}(" in tests, name
