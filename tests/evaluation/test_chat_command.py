"""`manage.py chat`: a loaded model answers in the terminal while it says it."""

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.evaluation.test_trials import expected_text
from tests.exports.fixtures import MakeSession
from training.models import Session

pytestmark = [pytest.mark.django_db]
SYSTEM = "<|im_start|>system\nAnswer with a number between <SOLUTION> and </SOLUTION>.<|im_end|>\n"
GREEDY = {"temperature": 0.0, "max_new_tokens": 10, "seed": 3}


@pytest.fixture
def session(make_trained: MakeSession) -> Session:
    return make_trained()


def said(model: str, *prompt: str, **options: Any) -> str:
    out = io.StringIO()
    call_command("chat", model, *prompt, stdout=out, stderr=io.StringIO(), **{**GREEDY, **options})
    return out.getvalue()


def turn(question: str) -> str:
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


def test_a_session_answers_with_its_newest_adapter_under_the_prompt_of_its_training(
    session: Session, tiny_base: Path, tiny_adapter: Path
) -> None:
    expected = expected_text(tiny_base, tiny_adapter, SYSTEM + turn("what is 1 plus 2?"), temperature=0.0)
    assert said(f"session:{session.pk}", "what is 1 plus 2?") == f"{expected}\n"


def test_its_base_answers_without_the_adapter_and_with_another_system_prompt(session: Session, tiny_base: Path) -> None:
    expected = expected_text(tiny_base, None, turn("what is 1 plus 2?"), temperature=0.0)
    assert said(f"session:{session.pk}/base", "what is 1 plus 2?", system="") == f"{expected}\n"


def test_each_line_is_a_question_and_what_was_said_before_is_part_of_the_prompt(
    session: Session, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("one?\n\ntwo?\n"))
    first = expected_text(tiny_base, None, turn("one?"), temperature=0.0)
    before = f"{turn('one?')}{first}<|im_end|>\n"
    second = expected_text(tiny_base, None, before + turn("two?"), temperature=0.0)
    assert said(f"session:{session.pk}/base", system="") == f"{first}\n{second}\n"


def test_an_answer_ends_before_a_stop_text(session: Session, tiny_base: Path) -> None:
    whole = expected_text(tiny_base, None, turn("one?"), temperature=0.0)
    middle = whole[len(whole) // 2 :][:3]
    assert said(f"session:{session.pk}/base", "one?", system="", stop=[middle]) == f"{whole[: whole.index(middle)]}\n"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("nonsense", "not offered"),
        ("session:../../etc/passwd", "not offered"),
        ("base:../secret", "not offered"),
        ("session:{pk}/checkpoint-99", "checkpoint is gone"),
    ],
)
def test_what_can_not_be_asked_is_said(session: Session, model: str, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        said(model.format(pk=session.pk), "hello")


def test_a_session_without_an_adapter_is_not_asked(make_trained: MakeSession) -> None:
    session = make_trained(adapter=False)
    with pytest.raises(CommandError, match="no adapter yet"):
        said(f"session:{session.pk}", "hello")


def test_a_prompt_longer_than_the_context_is_refused(session: Session) -> None:
    with pytest.raises(CommandError, match="and the model reads 256"):
        said(f"session:{session.pk}", "how many? " * 300)
