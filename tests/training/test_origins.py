import pytest

from tests.training.factories import History, make_dataset_version, make_session
from training import lifecycle, manifests, origins
from training.choices import Status


@pytest.fixture
def original(team, owner):
    version = make_dataset_version(team)
    return make_session(
        team, Status.COMPLETED, by=owner, name="First", dataset_version=version, dataset_fingerprint=version.fingerprint
    )


@pytest.fixture
def copy(original, owner):
    config = {**original.config, "dataset": {**original.config["dataset"], "source": "Chain sums"}}
    made = lifecycle.clone(original, owner)
    lifecycle.save_draft(made, config)
    return made


def with_rewards(session, rewards):
    history = History(session)
    for step, reward in enumerate(rewards, 1):
        history.step(step, len(rewards), reward=reward)
    return history.save()


def test_a_clone_knows_its_original_and_names_only_what_differs(copy, original):
    lifecycle.save_draft(copy, {**copy.config, "training": {**copy.config["training"], "learning_rate": 0.001}})
    found = origins.origin_of(copy)
    assert (found.original, found.is_reproduction) == (original, False)
    assert [tuple(change)[1:] for change in found.changes] == [("Learning rate", "0.0002", "0.001")]


def test_a_session_made_from_nothing_has_no_origin(original):
    assert origins.origin_of(original) is None


def test_a_newer_version_of_the_dataset_is_a_difference(copy, original):
    dataset = original.dataset_version.dataset
    original.dataset_version.pk, original.dataset_version.number = None, 2
    original.dataset_version.save()
    assert dataset.versions.count() == 2
    (change,) = origins.origin_of(copy).changes
    assert (change.before, change.after) == ("Chain sums v1", "Chain sums v2")


def test_another_version_of_the_preset_is_a_difference(copy, original):
    original.reward_preset = {"slug": "math", "version": 7, "shipped": True}
    original.save()
    (change,) = origins.origin_of(copy).changes
    assert (change.label, change.before, change.after) == ("Preset", "math v7", "math v1")


def test_a_deleted_original_leaves_no_trace(copy, original, owner):
    assert lifecycle.delete(original, owner)
    copy.refresh_from_db()
    assert copy.cloned_from is None and origins.origin_of(copy) is None


def test_a_long_name_can_be_cloned(original, owner):
    original.name = "x" * 200
    assert lifecycle.clone(original, owner).name.endswith("x (copy)")


@pytest.mark.parametrize(
    ("again", "same", "words"),
    [
        ([0.1, 0.2], True, "exactly that of the first run"),
        ([0.1], True, "the 1 step that both have"),
        ([0.1, 0.3], False, "differ from step 2 on: 0.2 in the first run, 0.3 here"),
    ],
)
def test_a_run_done_again_is_compared_step_by_step(original, team, again, same, words):
    with_rewards(original, [0.1, 0.2])
    given = {"session_id": str(original.pk), "name": "First", "rewards": manifests.rewards_of(original)}
    session = with_rewards(make_session(team, cloned_from=original, reproduces=given), again)
    verdict = origins.origin_of(session, compare=True).verdict
    assert verdict.same is same and words in verdict.text


def test_without_its_original_a_run_is_compared_by_the_sum_of_the_manifest(original, team):
    with_rewards(original, [0.1, 0.2])
    given = {"session_id": str(original.pk), "name": "First", "rewards": manifests.rewards_of(original)}
    session = with_rewards(make_session(team, Status.COMPLETED, reproduces=given), [0.1, 0.2])
    other = with_rewards(make_session(team, Status.COMPLETED, reproduces=given), [0.1, 0.4])
    assert origins.origin_of(session, compare=True).verdict.same
    assert not origins.origin_of(other, compare=True).verdict.same


# Pages


def test_the_review_step_and_the_session_page_say_where_it_comes_from(copy, original, owner_client, viewer_client):
    lifecycle.save_draft(copy, {**copy.config, "grpo": {**copy.config["grpo"], "kl_penalty": 0.0}})
    review = owner_client.get(f"/sessions/{copy.pk}/setup/review/").content.decode()
    assert "Cloned from" in review and f"/sessions/{original.pk}/" in review and "1 setting differs" in review
    page = viewer_client.get(f"/sessions/{copy.pk}/").content.decode()
    assert "Cloned from" in page and f"/sessions/{copy.pk}/origin/" in page
    assert "KL penalty" in viewer_client.get(f"/sessions/{copy.pk}/origin/").content.decode()


def test_an_outsider_finds_no_origin(copy, outsider_client):
    assert outsider_client.get(f"/sessions/{copy.pk}/origin/").status_code == 404


def test_the_api_says_what_a_session_was_cloned_from(copy, original, owner_client):
    assert owner_client.get(f"/api/training/sessions/{copy.pk}").json()["cloned_from"] == str(original.pk)
