"""The page that compares sessions, its replies and the API call (compare up to six)."""

import csv
import json
import re
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from evaluation import compare
from tests.training.factories import History, make_config, make_dataset_version, make_events, make_reward, make_session
from tests.training.test_session_page import streamed
from training.choices import Status
from training.models import Session

pytestmark = pytest.mark.django_db


def address(*sessions: object, of: str = "compare", **more: str) -> str:
    query = "&".join(f"session={getattr(session, 'pk', session)}" for session in sessions)
    return f"{reverse(f'evaluation:{of}')}?{query}" + "".join(f"&{key}={value}" for key, value in more.items())


def page(client: Client, *sessions: object) -> str:
    response = client.get(address(*sessions))
    assert response.status_code == 200
    return response.content.decode()


def data_of(text: str) -> dict:
    return json.loads(re.search(r'<script id="compare-data"[^>]*>(.*?)</script>', text, re.S)[1])


@pytest.fixture
def pair(team: Team) -> list[Session]:
    version = make_dataset_version(team)
    made = []
    for number, config in enumerate([make_config(), make_config(training={"learning_rate": 4e-4})], 1):
        session = make_session(
            team, Status.COMPLETED, name=f"Run {number}", config=config, dataset_version=version,
            dataset_fingerprint=version.fingerprint,
        )  # fmt: skip
        made.append(make_events(session, 20, rollouts_every=0, warm_up=0, seed=number))
    return made


def test_the_order_of_the_address_gives_number_colour_and_label(owner_client: Client, pair: list[Session]) -> None:
    text = page(owner_client, *reversed(pair))
    assert [session["name"] for session in data_of(text)["sessions"]] == ["Run 2", "Run 1"]
    reward = data_of(text)["charts"][0]
    assert [(line["key"], line["label"], line["colour"]) for line in reward["lines"]] == [
        ("1/reward", "1 Run 2", "session-1"),
        ("2/reward", "2 Run 1", "session-2"),
    ]


def test_each_measure_and_each_part_that_one_has_is_a_chart(owner_client: Client, pair: list[Session]) -> None:
    first, second = pair
    first.reward = make_reward({"correct": 1.0, "polite, and/or short": 0.5})
    first.save()
    charts = {chart["title"]: chart for chart in data_of(page(owner_client, first, second))["charts"]}
    assert list(charts) == [
        "Reward", "Reward: correct", "Reward: polite, and/or short", "Reward: format", "Reward: brevity",
        "KL divergence", "Completion length", "Truncated", "Loss, GRPO", "Learning rate", "Validation score",
    ]  # fmt: skip
    (line,) = charts["Reward: polite, and/or short"]["lines"]
    assert line["key"] == "1/rewards/polite, and/or short/mean"


def test_only_what_differs_is_in_the_table_and_the_rest_is_folded(owner_client: Client, pair: list[Session]) -> None:
    text = page(owner_client, *pair)
    table = text[text.index("What differs") : text.index("Same in all:")]
    assert "Learning rate" in table and "0.0002" in table and "0.0004" in table
    assert "LoRA rank" not in table
    found = compare.differences(pair)
    assert [setting.key for setting in found.different] == ["training.learning_rate"]
    assert f"Same in all: {len(found.same)} fields" in text


def test_dataset_reward_parts_and_device_are_told_apart(team: Team, pair: list[Session]) -> None:
    other = make_dataset_version(team, "GSM8K")
    other.sha256, other.split = "1" * 64, {"column": "part", "test": ["test"]}
    third = make_session(
        team, Status.COMPLETED, dataset_version=other, dataset_fingerprint=other.fingerprint, mode="GPU: H100",
        reward=make_reward({"correct": 2.0}) | {"normalise": "weights"}, config=make_config(),
    )  # fmt: skip
    found = {
        setting.key: [compare.shown(value) for value in setting.values]
        for setting in compare.differences([pair[0], third]).different
    }
    assert found["data.dataset"] == ["Chain sums, version 1", "GSM8K, version 1"]
    assert found["data.sha256"] == ["0" * 16, "1" * 16]
    assert found["data.split"] == ["by seed 42, 96 held out", "by the column part"]
    assert found["device"][1] == "GPU: H100"
    assert found["reward.part.correct"] == ["1 × length()", "2 × length()"]
    assert found["reward.part.format"] == ["0.5 × length()", ""]
    assert found["reward.total.normalise"] == ["", "weights"]
    assert "data.mapping" not in found


def test_fewer_than_two_get_a_picker_and_what_to_do(owner_client: Client, pair: list[Session]) -> None:
    nothing = page(owner_client)
    assert "Choose sessions to compare" in nothing and "Run 1" in nothing
    one = page(owner_client, pair[0])
    assert "One more to compare with" in one
    assert f"session={pair[0].pk}&amp;session={pair[1].pk}" in one
    assert "compare-data" not in one


def test_more_than_six_are_cut_with_the_limit_named_and_come_up_when_one_is_removed(
    owner_client: Client, team: Team
) -> None:
    made = [make_session(team, Status.DRAFT, name=f"Draft {number}", dataset_version=None) for number in range(8)]
    text = page(owner_client, *made)
    assert "At most 6 sessions can be compared at once." in text
    assert "the other 2" in text
    assert len(data_of(text)["sessions"]) == 6
    assert "Add a session" not in text
    without = re.search(r'href="[^"]*\?([^"]*)" aria-label="Remove Draft 0"', text)[1].replace("&amp;", "&")
    again = owner_client.get(f"{reverse('evaluation:compare')}?{without}").content.decode()
    assert [session["name"] for session in data_of(again)["sessions"]] == [f"Draft {number}" for number in range(1, 7)]


def test_a_session_named_twice_is_one(owner_client: Client, pair: list[Session]) -> None:
    text = page(owner_client, pair[0], pair[0], str(pair[1].pk).upper())
    assert len(data_of(text)["sessions"]) == 2
    assert "is left out" not in text


def test_foreign_missing_and_broken_ids_are_dropped_with_the_same_words(
    owner_client: Client, outsider: User, pair: list[Session]
) -> None:
    foreign = make_session(outsider.teams.get(), Status.COMPLETED, name="Secret run", dataset_version=None)
    words = "Something in the address is no session that you can see"
    pages = [page(owner_client, *pair, unknown) for unknown in (foreign, uuid4(), "nonsense")]
    assert all(text.count(words) == 1 for text in pages)
    assert not [text for text in pages if "Secret run" in text or str(foreign.pk) in text]


def test_an_outsider_sees_nothing_of_the_sessions(outsider_client: Client, pair: list[Session]) -> None:
    text = page(outsider_client, *pair)
    assert "Run 1" not in text and "Choose sessions to compare" in text
    for part in ("compare_scores", "compare_csv"):
        assert outsider_client.get(address(*pair, of=part, key="reward")).status_code == 404
    assert "Run 1" not in outsider_client.get(address(of="compare_choices")).content.decode()
    assert outsider_client.get(f"/api/sessions/compare?session={pair[0].pk}&session={pair[1].pk}").status_code == 404


def test_who_is_not_signed_in_is_sent_to_sign_in(client: Client, pair: list[Session]) -> None:
    assert client.get(address(*pair)).status_code == 302


def test_a_viewer_may_compare_and_nobody_may_post(viewer_client: Client, pair: list[Session]) -> None:
    assert "Run 1" in page(viewer_client, *pair)
    assert viewer_client.post(address(*pair)).status_code == 405


def test_choices_are_searched_by_words_and_leave_out_what_is_chosen(
    owner_client: Client, team: Team, pair: list[Session]
) -> None:
    make_session(team, Status.DRAFT, name="Another run with 1 word", dataset_version=None)

    def names(search: str) -> list[str]:
        text = owner_client.get(address(pair[0], of="compare_choices", q=search)).content.decode()
        return re.findall(r'picker-name">([^<]*)<', text)

    assert names("") == ["Another run with 1 word", "Run 2"]
    assert names("1 RUN") == ["Another run with 1 word"]
    assert names("nothing") == []
    assert (
        f"?session={pair[0].pk}&amp;session={pair[1].pk}"
        in owner_client.get(address(pair[0], of="compare_choices")).content.decode()
    )


def test_scores_are_asked_for_again_only_while_one_is_active(
    owner_client: Client, team: Team, pair: list[Session]
) -> None:
    assert "every 10s" not in page(owner_client, *pair)
    running = make_events(make_session(team, Status.TRAINING), 5, of=60, rollouts_every=0, warm_up=0)
    again = owner_client.get(address(*pair, running, of="compare_scores")).content.decode()
    assert "every 10s" in again and "5 / 60" in again
    assert 'hx-swap-oob="true"' in again and "Training" in again


def test_every_step_of_a_chart_as_csv(owner_client: Client, pair: list[Session]) -> None:
    history = History(pair[0])
    history.held_out(10, 0.5)
    history.save()

    def rows(**more: str) -> list[list[str]]:
        response = owner_client.get(address(*pair, of="compare_csv", **more))
        assert response.status_code == 200
        return list(csv.reader(streamed(response).splitlines()))

    head, *found = rows(key="kl", name="kl")
    assert head == ["number", "session", "name", "step", "seconds", "kl"]
    assert [(row[0], row[3]) for row in found] == [(n, str(step)) for n in "12" for step in range(1, 21)]
    assert [row[3] for row in rows(key="kl", **{"from": "5", "to": "6"})[1:]] == ["5", "6", "5", "6"]
    seconds = {row[3]: float(row[4]) for row in found if row[0] == "1"}
    _, *timed = rows(key="kl", by="time", **{"from": "0", "to": str(int(seconds["4"]) + 1)})
    assert [row[3] for row in timed if row[0] == "1"] == ["1", "2", "3", "4"]
    _, scored = rows(key="held_out/score")
    assert (scored[0], scored[3], scored[5]) == ("1", "10", "0.5")


def test_a_csv_without_a_key_and_with_an_unknown_axis_is_refused_with_words(
    owner_client: Client, pair: list[Session]
) -> None:
    for more in ({}, {"key": "kl", "by": "moon"}):
        response = owner_client.get(address(*pair, of="compare_csv", **more))
        assert response.status_code == 400 and response.json()["error"]


def test_series_tell_when_each_step_was(owner_client: Client, pair: list[Session]) -> None:
    url = reverse("training:series", args=[pair[0].pk])
    plain = owner_client.get(url, {"keys": "kl"}).json()
    timed = owner_client.get(url, {"keys": "kl,test/score", "seconds": "1"}).json()
    assert "seconds" not in plain
    assert timed["steps"] == [0, *plain["steps"]]
    assert len(timed["seconds"]) == len(timed["steps"])
    assert timed["seconds"] == sorted(timed["seconds"])
    assert timed["seconds"][0] == timed["seconds"][1] > 0


def test_the_page_takes_as_many_queries_for_two_as_its_sessions_need(
    owner_client: Client, pair: list[Session], django_assert_max_num_queries
) -> None:
    with django_assert_max_num_queries(40):
        page(owner_client, *pair)


def test_the_session_page_leads_here(owner_client: Client, pair: list[Session]) -> None:
    text = owner_client.get(reverse("training:session", args=[pair[0].pk])).content.decode()
    assert f'href="/sessions/compare/?session={pair[0].pk}"' in text


# API


def api(client: Client, *ids: object) -> tuple[int, dict]:
    response = client.get("/api/sessions/compare", {"session": [str(one) for one in ids]})
    return response.status_code, response.json()


def test_the_api_gives_differences_scores_and_pairs(owner_client: Client, pair: list[Session]) -> None:
    status, found = api(owner_client, *[session.pk for session in pair])
    assert status == 200
    assert [one["session_id"] for one in found["sessions"]] == [str(session.pk) for session in pair]
    assert found["differences"] == [
        {"key": "training.learning_rate", "section": "Training", "label": "Learning rate", "values": [0.0002, 0.0004]}
    ]
    first = found["scores"][0]
    low, high = first["after"]["interval"]
    assert low < first["after"]["accuracy"] < high
    assert first["direction"] == "better"
    assert (first["last_reward"]["first_step"], first["last_reward"]["last_step"]) == (19, 20)
    (tested,) = found["pairs"]
    assert tested["better"] is None and tested["verdict"]


def test_the_api_is_strict_about_how_many_and_which(owner_client: Client, pair: list[Session], team: Team) -> None:
    assert api(owner_client)[0] == api(owner_client, pair[0].pk)[0] == 400
    many = [make_session(team, Status.DRAFT, dataset_version=None).pk for _ in range(7)]
    status, found = api(owner_client, *many)
    assert status == 400 and "2 to 6" in found["fields"]["session"][0]
    assert api(owner_client, pair[0].pk, uuid4())[0] == 404
    assert api(owner_client, pair[0].pk, "nonsense")[0] == 404


def test_drafts_and_sessions_without_any_event_are_compared_without_scores(owner_client: Client, team: Team) -> None:
    drafts = [
        make_session(team, Status.DRAFT, dataset_version=None, config=config)
        for config in ({}, {"training": {"learning_rate": "fast"}, "dataset": {"source": "sums"}})
    ]
    text = page(owner_client, *drafts)
    assert "not measured" in text and "fast" in text
