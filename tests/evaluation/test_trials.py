"""A prompt is answered for real: claim, child process, tiny model, both answers (S12.1 to S12.4, S12.9)."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from evaluation import trying
from evaluation.models import Trial
from evaluation.tasks import KIND
from jobs import running
from jobs.choices import JobStatus
from tests.exports.fixtures import MakeSession
from training.models import Session

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rung")]
SETTINGS = {"temperature": 0.0, "top_p": 1.0, "max_new_tokens": 10, "seed": 3, "use_system_prompt": True}
REWARD = {"parts": [{"name": "length", "function": "length", "weight": 1.0, "parameters": {}}]}


def answered(session: Session, **settings: object) -> Trial:
    trial = trying.create(session, None, "what is 3 plus 4?", {**SETTINGS, **settings})
    assert running.run(KIND, str(trial.pk))
    trial.refresh_from_db()
    return trial


def expected_text(base: Path, adapter: Path | None, prompt: str, temperature: float = 1.5) -> str:
    from training.engine.generation import generate
    from training.engine.loading import load_for_generation

    model, tokenizer = load_for_generation(str(base), adapter)
    return generate(model, tokenizer, [prompt], max_new_tokens=10, temperature=temperature, seed=3)[0].text


def test_base_and_adapter_answer_the_same_prompt_each_with_its_own_weights(
    make_trained: MakeSession, tiny_base: Path, tiny_adapter: Path
) -> None:
    session = make_trained(reward=REWARD)
    trial = answered(session, expected="7", temperature=1.5)
    assert trial.status == JobStatus.READY, trial.error
    system = "Answer with a number between <SOLUTION> and </SOLUTION>."
    prompt = (
        f"<|im_start|>system\n{system}<|im_end|>\n"
        "<|im_start|>user\nwhat is 3 plus 4?<|im_end|>\n<|im_start|>assistant\n"
    )
    base, adapter = trial.answers["base"], trial.answers["adapter"]
    assert adapter["text"] == expected_text(tiny_base, tiny_adapter, prompt)
    assert base["text"] == expected_text(tiny_base, None, prompt)
    assert base["text"] != adapter["text"], "an adapter that changes nothing would prove nothing"
    for answer in (base, adapter):
        assert 1 <= answer["tokens"] <= 10
        assert answer["speed"] == pytest.approx(answer["tokens"] / answer["seconds"])
        assert [part["name"] for part in answer["score"]["parts"]] == ["length"]


def test_the_sessions_own_chat_template_is_used(make_trained: MakeSession, tiny_base: Path, tiny_adapter: Path) -> None:
    session = make_trained()
    session.config["prompt"]["chat_template"] = "{% for m in messages %}<{{ m.content }}>{% endfor %}"
    Session.objects.filter(pk=session.pk).update(config=session.config)
    trial = answered(session)
    assert trial.status == JobStatus.READY, trial.error
    prompt = "<Answer with a number between <SOLUTION> and </SOLUTION>.><what is 3 plus 4?>"
    assert trial.answers["adapter"]["text"] == expected_text(tiny_base, tiny_adapter, prompt, temperature=0.0)


def test_a_base_model_that_is_gone_is_explained(make_trained: MakeSession) -> None:
    session = make_trained()
    session.config["model"]["name"] = "/nowhere/model"
    Session.objects.filter(pk=session.pk).update(config=session.config)
    trial = answered(session)
    assert trial.status == JobStatus.FAILED
    assert "/nowhere/model" in trial.error


def test_the_command_prints_both_answers(make_trained: MakeSession, capsys: pytest.CaptureFixture[str]) -> None:
    session = make_trained()
    call_command("try", str(session.pk), "what is 1 plus 1?", "--max-new-tokens", "4", "--no-system-prompt")
    output = capsys.readouterr().out
    assert "--- base (" in output
    assert "--- adapter (" in output
    assert Trial.objects.get().settings["use_system_prompt"] is False


def test_the_command_says_what_is_wrong(make_trained: MakeSession) -> None:
    session = make_trained()
    with pytest.raises(CommandError, match="temperature"):
        call_command("try", str(session.pk), "Hi", "--temperature", "99")
    with pytest.raises(CommandError, match="no session"):
        call_command("try", "nothing", "Hi")
    with pytest.raises(CommandError, match="no adapter"):
        call_command("try", str(make_trained(adapter=False).pk), "Hi")
