from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User

from accounts import secrets
from accounts.models import Team
from evaluation import answering
from rewards.judging.memory import Memory
from tests.rewards.fake_judge import serving
from training.schema import SessionConfig

pytestmark = pytest.mark.django_db
KEY = "sk-the-key-of-our-team-0001"


def test_a_tried_answer_is_judged_with_the_key_of_the_trial_s_team(
    team: Team, owner: User, settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rewards.judging.batch.MEMORY", Memory())
    settings.CACHE_DIR = tmp_path
    with serving() as judge:
        settings.JUDGE_HOSTS = [judge.place]
        secrets.save(team, owner, secrets.judge_key(judge.url), KEY)
        asked = {"endpoint": judge.url, "model": "tiny", "rubric": "Paris."}
        reward = {"parts": [{"name": "j", "function": "judge_model", "parameters": asked}]}
        session = SimpleNamespace(reward=reward)
        trial: Any = SimpleNamespace(team=team, session=session, prompt="Capital?", settings={"expected": "Paris"})
        config = SessionConfig.model_validate({"model": {"name": "local/x"}, "dataset": {"source": "x"}})
        score = answering._score(trial, config, "Paris", 1)
    assert score is not None and score["total"] == 1.0
    assert judge.asked[0].headers["Authorization"] == f"Bearer {KEY}"
