from django.core.checks import run_checks

from rewards import sandbox_check
from rewards.sandbox import jail_process


def test_nothing_is_said_where_the_sandbox_holds(monkeypatch):
    monkeypatch.setattr(jail_process, "unavailable", lambda: "")
    assert sandbox_check.sandbox_is_enforced(None) == []


def test_where_it_does_not_hold_the_reason_and_the_cure_are_said(monkeypatch):
    monkeypatch.setattr(jail_process, "unavailable", lambda: "No seccomp.")
    [said] = [message for message in run_checks() if message.id == "rewards.W001"]
    assert "No seccomp." in said.msg and "Docker" in said.hint
