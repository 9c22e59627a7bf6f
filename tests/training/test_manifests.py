"""Run manifests: what is in them and what is not, and what a session that is made from one needs."""

import copy as copying
import io
import json
import socket

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command

from datasets_app.models import Dataset
from rewards.models import RewardPreset
from tests.training.conftest import IMPORTED
from tests.training.factories import History, make_events, make_session
from training import devices, fallbacks, lifecycle, manifests, reproduction
from training.choices import Status
from training.engine import environment, model_files
from training.models import Session

FALLBACK = {"field": "training.precision", "message": "Precision fp16 needs CUDA: fp32 takes its place."}


def loaded(session, model=None, passes=None):
    """What a trainer says of its attempt, as the engine has it."""
    device = devices.detect()
    notices = fallbacks.notices(session.parsed_config, device.kind != "cpu")
    found = {
        "program": environment.program() | {"changed": False},
        "versions": environment.versions(),
        "hardware": {**environment.processor(), "device": device.kind, "name": device.name, "memory": device.memory},
    }
    history = History(session)
    history.begin(Status.STARTING, "Starting")
    event = history.add("log", "starting", level="info", message="Loaded")
    event.data |= {"environment": found, "model": model or {}, "passes": passes or {}}
    event.data["fallbacks"] = [{"field": notice.field, "message": notice.message} for notice in notices]
    history.save()


@pytest.fixture
def started(queued, model_folder):
    """A session that waits, with what its trainer would say."""
    queued.attempt = 1
    loaded(queued, {"commit": None, "fingerprint": model_files.fingerprint(model_folder)})
    return queued


@pytest.fixture
def manifest(started):
    """As it comes out of a file."""
    return json.loads(json.dumps(manifests.manifest(started)))


def refused(team, manifest, **options):
    with pytest.raises(reproduction.NotReproducible) as caught:
        reproduction.reproduce(team, None, manifest, **options)
    return " ".join(caught.value.problems)


# What it holds


def test_a_manifest_holds_what_a_run_was_made_of(started, manifest):
    assert (manifest["format"], manifest["format_version"]) == ("loracraft-run-manifest", 1)
    assert manifest["config"] == started.config
    assert manifest["reward"]["composition"] == started.reward
    assert manifest["dataset"] == started.dataset_version.fingerprint
    assert manifest["seeds"] == {"training": 42, "split": started.dataset_version.split["seed"]}
    assert manifest["model"]["fingerprint"]["files"].keys() == {"config.json", "model.safetensors"}
    (attempt,) = manifest["attempts"]
    assert {"python", "torch", "transformers", "trl", "peft", "datasets", "django"} <= attempt["versions"].keys()
    assert {"cpu", "cpu_count", "ram", "device"} <= attempt["hardware"].keys()
    assert attempt["model_sha256"] == manifest["model"]["fingerprint"]["sha256"]
    assert manifest["times"]["queued_at"] and manifest["times"]["finished_at"] is None


def test_results_are_the_steps_and_scores_that_count(team):
    session = make_events(make_session(team, Status.COMPLETED), steps=6)
    results = manifests.manifest(session)["results"]
    assert results["rewards"]["steps"] == 6 and len(results["rewards"]["sha256"]) == 64
    assert set(results["scores"]) == {"base", "adapter"}
    assert results["scores"]["base"]["low"] < results["scores"]["base"]["accuracy"] < results["scores"]["base"]["high"]
    session.events.filter(kind="metrics", phase="training", step=6).update(superseded=True)
    assert manifests.rewards_of(session)["steps"] == 5


def test_attempts_say_where_they_went_on_and_what_ran_otherwise(team):
    session = make_session(team, Status.TRAINING)
    loaded(session)
    session.attempt = 2
    asked = session.config["training"]
    loaded(session, passes={"batch_size": asked["batch_size"], "gradient_accumulation_steps": 16})
    history = History(session)
    history.begin(Status.TRAINING, "GRPO", 60, resumed_from=20)
    history.save()
    first, second = manifests.manifest(session)["attempts"]
    assert first["resumed_from"] is None
    assert second["resumed_from"] == {"phase": "training", "step": 20}
    smaller = {"field": "training.gradient_accumulation_steps", "message": "16 instead of 8, after memory ran out."}
    assert [each for each in second["fallbacks"] if each not in first["fallbacks"]] == [smaller]


def test_it_names_no_folder_no_machine_and_no_person(team, owner):
    session = make_session(team, Status.COMPLETED, by=owner, worker=f"{socket.gethostname()}:abc/1/2")
    session.config["model"]["name"] = "/srv/private/models/my-llama"
    part = {"name": "near", "function": "embedding_similarity", "parameters": {"model": "/srv/private/embedder"}}
    session.reward = {"parts": [part]}
    session.config["reward"] |= {"type": "custom", "parts": [part]}
    session.error = "There is no folder /srv/private/models."
    session.save()
    text = json.dumps(manifests.manifest(session))
    for word in ("/srv", str(settings.DATA_DIR), socket.gethostname(), owner.username, str(settings.SECRET_KEY)):
        assert word not in text
    assert "local/my-llama" in text and json.loads(text)["model"]["own_folder"]


def test_the_preset_is_named_with_the_version_that_was_copied(team, owner, draft):
    draft.config["reward"] = {"type": "preset", "preset_name": "math"}
    lifecycle.save_draft(draft, draft.config)
    assert lifecycle.start(draft, owner, "a test of versions")
    version = RewardPreset.objects.get(team=None, slug="math").version
    assert manifests.manifest(draft)["reward"]["preset"] == {"slug": "math", "version": version, "shipped": True}


def test_a_draft_has_none(draft):
    with pytest.raises(manifests.NotStarted):
        manifests.manifest(draft)


# Doing it again


def test_the_same_config_rows_reward_and_model_make_a_draft(team, owner, started, manifest):
    session, warnings = reproduction.reproduce(team, owner, manifest)
    assert warnings == []
    assert (session.status, session.cloned_from, session.created_by) == ("draft", started, owner)
    assert session.reproduces["session_id"] == str(started.pk)
    assert lifecycle.start(session, owner)
    again = manifests.manifest(session)
    assert again["config"].pop("dataset") | {"source": ""} == manifest["config"].pop("dataset") | {"source": ""}
    assert again["config"] == manifest["config"]
    assert (again["dataset"], again["reward"]) == (manifest["dataset"], manifest["reward"])


def test_the_same_rows_under_another_name_will_do(team, manifest):
    Dataset.objects.all().delete()
    other = Dataset.objects.create(team=team, name="renamed", source="upload")
    other.versions.create(**IMPORTED)
    session, warnings = reproduction.reproduce(team, None, manifest)
    assert session.config["dataset"]["source"] == f"{other.pk}@1"
    assert warnings == ["The rows of sums v1 are here as renamed v1."]


def test_rows_that_are_not_here_are_named(team, manifest):
    Dataset.objects.all().delete()
    assert "no dataset with the rows of sums v1 (sha256" in refused(team, manifest)


def test_the_rows_of_another_team_are_not_here(outsider, manifest):
    assert "no dataset" in refused(outsider.memberships.get().team, manifest)


@pytest.mark.parametrize(
    ("part", "value"), [("split", {"seed": 1, "held_out": 2}), ("mapping", {"rule": "last_number"})]
)
def test_the_same_rows_split_or_mapped_otherwise_are_refused(team, manifest, part, value):
    manifest["dataset"][part] = value
    assert f"but not its {part}" in refused(team, manifest)


def test_the_reward_is_that_of_the_manifest_where_the_preset_has_changed(team, manifest):
    manifest["config"]["reward"] = {"type": "preset", "preset_name": "math"}
    session, warnings = reproduction.reproduce(team, None, manifest)
    assert session.config["reward"]["type"] == "custom"
    assert session.config["reward"]["parts"] == manifest["reward"]["composition"]["parts"]
    assert warnings == ["The reward preset math is not what it was: the parts of the manifest are used."]


def test_a_preset_that_is_what_it_was_stays_a_preset(team, manifest):
    manifest["config"]["reward"] = {"type": "preset", "preset_name": "math"}
    manifest["reward"]["composition"] = reproduction.todays(team, "math")
    session, warnings = reproduction.reproduce(team, None, manifest)
    assert session.config["reward"]["preset_name"] == "math" and warnings == []


def test_a_reward_function_that_is_not_here_is_named(team, manifest):
    manifest["reward"]["composition"]["parts"][0]["function"] = "of_a_later_release"
    assert "no reward function 'of_a_later_release'" in refused(team, manifest)


def test_another_model_under_the_same_name_is_refused(team, manifest):
    manifest["model"]["fingerprint"]["files"]["model.safetensors"]["sha256"] = "0" * 64
    manifest["model"]["fingerprint"]["files"]["tokenizer.json"] = {"sha256": "0" * 64, "bytes": 1}
    assert "These files differ: tokenizer.json, model.safetensors." in refused(team, manifest)


def test_a_large_model_is_compared_by_size_unless_all_is_to_be_read(team, manifest, monkeypatch):
    monkeypatch.setattr(reproduction, "BYTES_READ_AT_ONCE", 0)
    manifest["model"]["fingerprint"]["files"]["model.safetensors"]["sha256"] = "0" * 64
    _, warnings = reproduction.reproduce(team, None, manifest)
    assert warnings == ["The model is large: its files were compared by name and size alone."]
    assert "These files differ" in refused(team, manifest, read_all=True)


def test_a_model_that_moved_can_be_named(team, manifest, tmp_path):
    manifest["config"]["model"]["name"] = "local/elsewhere"
    manifest["model"] |= {"own_folder": True}
    assert "say where it is" in refused(team, manifest)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    session, _ = reproduction.reproduce(team, None, manifest, model=str(tmp_path))
    assert session.config["model"]["name"] == str(tmp_path)


def test_other_versions_hardware_and_fallbacks_are_warnings(team, manifest):
    attempt = manifest["attempts"][0]
    attempt["versions"] |= {"trl": "0.0.1", "unsloth": "2030.1"}
    attempt["hardware"] |= {"device": "cuda", "name": "NVIDIA H100"}
    attempt["program"] |= {"commit": "f" * 40, "changed": True}
    attempt["fallbacks"] = [FALLBACK]
    manifest["attempts"].insert(0, copying.deepcopy(attempt))
    said = " ".join(reproduction.reproduce(team, None, manifest)[1])
    here = environment.versions()["trl"]
    for words in (
        f"trl: 0.0.1 then, {here} here.",
        "unsloth: 2030.1 then, not installed here.",
        "Another device: cuda then, cpu here.",
        "Another GPU: NVIDIA H100 then, none here.",
        "a checkout with changed files",
        "2 attempts",
        FALLBACK["message"],
    ):
        assert words in said


def test_what_would_not_start_is_refused_with_its_field(team, manifest):
    manifest["config"]["grpo"]["num_generations"] = 7
    assert "training.batch_size" in refused(team, manifest) or "grpo.num_generations" in refused(team, manifest)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "something"}, "no run manifest"),
        ({"format_version": 2}, "format version 2"),
        ({"session": {"id": "x"}}, "session.id"),
        ({"dataset": {}}, "dataset.sha256"),
        ({"attempts": "none"}, "attempts"),
        ({"model": {"fingerprint": {"files": []}}}, "model.fingerprint.files"),
        ({"config": {"model": {"size": 3}}}, "model.size"),
        ({"reward": {"composition": {"parts": []}}}, "reward"),
    ],
)
def test_a_damaged_manifest_is_refused_with_the_place(team, manifest, change, words):
    before = Session.objects.count()
    assert words in refused(team, {**manifest, **change})
    assert Session.objects.count() == before


# Page, API and command


def test_members_and_viewers_download_it_and_an_outsider_finds_nothing(started, viewer_client, outsider_client):
    for address in (f"/sessions/{started.pk}/manifest.json", f"/api/training/sessions/{started.pk}/manifest"):
        assert viewer_client.get(address).json()["session"]["id"] == str(started.pk)
        assert outsider_client.get(address).status_code == 404
    page = viewer_client.get(f"/sessions/{started.pk}/")
    assert f"/sessions/{started.pk}/manifest.json" in page.content.decode()


def test_of_a_draft_there_is_nothing_to_download(draft, owner_client):
    page = owner_client.get(f"/sessions/{draft.pk}/manifest.json", follow=True)
    assert "A draft has no manifest" in page.content.decode()
    assert owner_client.get(f"/api/training/sessions/{draft.pk}/manifest").status_code == 409


def upload(client, content, **more):
    file = SimpleUploadedFile("manifest.json", content if isinstance(content, bytes) else json.dumps(content).encode())
    return client.post("/sessions/reproduce/", {"file": file, **more}, follow=True)


def test_an_uploaded_manifest_makes_a_draft(started, manifest, teammate_client, viewer_client):
    page = upload(teammate_client, manifest).content.decode()
    made = Session.objects.exclude(pk=started.pk).get()
    assert made.cloned_from == started and "Everything that the manifest needs is here" in page
    assert "Done again from the manifest of" in page
    assert upload(viewer_client, manifest).status_code == 403


@pytest.mark.parametrize("content", [b"", b"no JSON", b"[]", b'{"model": {}}'])
def test_an_upload_that_is_no_manifest_goes_back_with_a_sentence(draft, owner_client, content):
    place = f"/sessions/{draft.pk}/setup/config/"
    page = upload(owner_client, content, next=place)
    assert page.redirect_chain[-1][0] == place and "lc-toast" in page.content.decode()
    assert upload(owner_client, content, next="https://example.org/").redirect_chain[-1][0] == "/configs/"
    assert Session.objects.count() == 1


def test_a_manifest_in_place_of_a_config_is_told_apart(draft, manifest, owner_client):
    draft = lifecycle.clone(draft, None)
    file = SimpleUploadedFile("manifest.json", json.dumps(manifest).encode())
    page = owner_client.post(f"/sessions/{draft.pk}/config/import/", {"file": file}, follow=True)
    assert "This is a run manifest" in page.content.decode()


def send(client, **body):
    return client.post("/api/training/reproduce", body, content_type="application/json")


def test_the_api_makes_a_draft_or_starts_it(started, manifest, owner_client):
    made = send(owner_client, manifest=manifest)
    assert (made.status_code, made.json()["status"], made.json()["warnings"]) == (201, "draft", [])
    assert send(owner_client, manifest=manifest, start=True).json()["status"] == "queued"


def test_the_api_names_what_is_missing(manifest, owner_client, viewer_client):
    assert send(owner_client).json()["fields"] == {"manifest": ["Send the manifest as a JSON object."]}
    assert "no run manifest" in send(owner_client, manifest={}).json()["fields"]["manifest"][0]
    assert send(viewer_client, manifest=manifest).status_code == 403


def test_the_command_prints_the_session_and_warns_on_standard_error(started, manifest, tmp_path):
    manifest["attempts"][0]["versions"]["trl"] = "0.0.1"
    (tmp_path / "m.json").write_text(json.dumps(manifest))
    out, err = io.StringIO(), io.StringIO()
    call_command("reproduce", str(tmp_path / "m.json"), "--team", started.team.name, "--start", stdout=out, stderr=err)
    made = Session.objects.get(pk=out.getvalue().strip())
    assert made.status == "queued" and "Warning: trl: 0.0.1 then" in err.getvalue()


def test_the_command_ends_with_what_is_wrong(started, tmp_path):
    for content, words in (
        (None, "can't be read"),
        ("{", "not JSON"),
        ("[]", "one JSON object"),
        ("{}", "no run manifest"),
    ):
        if content is not None:
            (tmp_path / "m.json").write_text(content)
        with pytest.raises(CommandError, match=words):
            call_command("reproduce", str(tmp_path / "m.json"), "--team", started.team.name)
    with pytest.raises(CommandError, match="no team 'Nobody'"):
        call_command("reproduce", str(tmp_path / "m.json"), "--team", "Nobody")
