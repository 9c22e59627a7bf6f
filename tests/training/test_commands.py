import json
import os
import signal
import subprocess
import sys
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from accounts.models import Team
from datasets_app.models import Dataset
from tests.datasets.hub_server import Hub
from tests.training.conftest import recorded, wait_for
from training import lifecycle
from training.models import Session


@pytest.fixture
def config_file(tmp_path, config):
    """A config beside its data, as somebody would keep them."""
    rows = [{"question": f"{number} plus 2?", "answer": str(number + 2)} for number in range(20)]
    (tmp_path / "sums.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    file = tmp_path / "sums.json"
    file.write_text(json.dumps(config | {"name": "From a file", "dataset": {"source": "sums.jsonl"}}))
    return file


def manage(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "manage.py", *map(str, arguments)],
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def test_train_runs_a_config_file_and_prints_one_json_line(child_processes, config_file):
    process = manage("train", config_file, "--team", "New team")
    child_processes.append(process)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    session = Session.objects.get()
    assert json.loads(out) == {
        "session_id": str(session.pk),
        "adapter": str(session.adapter),
        "scores": {"adapter": {"accuracy": 0.5}},
    }
    assert out.count("\n") == 1
    assert "training step 6  reward 0.857" in err and "No GPU detected" in err
    assert (session.status, session.name, session.team.name) == ("completed", "From a file", "New team")
    assert len(recorded(session)) == 6
    assert Dataset.objects.filter(team=session.team).count() == 1


def test_train_imports_a_hub_id_that_the_team_does_not_have_yet(child_processes, config, tmp_path, monkeypatch):
    rows = [{"question": f"{number} plus 2?", "answer": str(number + 2)} for number in range(20)]
    file = tmp_path / "hub.json"
    source = {"source": "acme/plus-two", "split": "train"}
    file.write_text(json.dumps(config | {"name": "From the hub", "dataset": source}))
    with Hub() as hub:
        commit = hub.add("acme/plus-two", {"train.jsonl": "\n".join(json.dumps(row) for row in rows)})
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        for _ in range(2):
            process = manage("train", file, "--team", "New team")
            child_processes.append(process)
            _, err = process.communicate(timeout=180)
            assert process.returncode == 0, err
    dataset = Dataset.objects.get(source="hub")
    assert dataset.source_detail["repo"] == "acme/plus-two"
    assert dataset.source_detail["revision"] == commit
    assert {session.dataset_version.dataset for session in Session.objects.all()} == {dataset}


def test_train_says_why_a_hub_id_can_not_be_imported(config, tmp_path, db):
    file = tmp_path / "hub.json"
    file.write_text(json.dumps(config | {"dataset": {"source": "acme/nowhere"}}))
    with pytest.raises(CommandError, match=r"dataset\.source: The hub can't be reached"):
        call_command("train", str(file))


def test_ctrl_c_stops_train_with_a_checkpoint_and_the_session_goes_on_by_its_id(child_processes, draft, monkeypatch):
    monkeypatch.setenv("FAKE_SECONDS", "0.4")
    process = manage("train", draft.pk)
    child_processes.append(process)
    wait_for(lambda: recorded(draft), what="the first step")
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1 and "Stopped" in err and out == ""
    draft.refresh_from_db()
    assert draft.status == "stopped"

    # Long enough for the trainer to look at the row more than once.
    monkeypatch.setenv("FAKE_SECONDS", "0.3")
    process = manage("train", draft.name)
    child_processes.append(process)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert [step for step, _ in recorded(draft)] == [1, 2, 3, 4, 5, 6]


def test_train_fails_with_the_reason_when_the_session_does(child_processes, draft, monkeypatch):
    monkeypatch.setenv("FAKE_MODE", "engine error")
    process = manage("train", draft.pk)
    child_processes.append(process)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and out == ""
    assert "No rows fit. Use shorter rows." in err and "Traceback" not in err


def test_the_readmes_config_file_loads_and_only_what_is_missing_here_is_said(tmp_path, readme_config, db):
    file = tmp_path / "readme.json"
    file.write_text(json.dumps(readme_config))
    with pytest.raises(CommandError) as caught:
        call_command("train", str(file))
    fields = {line.partition(":")[0] for line in str(caught.value).splitlines()}
    assert fields <= {"model.name", "dataset.source"} and fields


def test_a_config_that_is_no_json_is_refused_in_words(tmp_path, db):
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(CommandError, match="is not JSON"):
        call_command("train", str(tmp_path / "broken.json"))
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(CommandError, match="one JSON object"):
        call_command("train", str(tmp_path / "list.json"))
    assert not Team.objects.exists()


def test_broken_lines_of_a_data_file_are_named_and_the_user_decides(db, config_file, model_folder):
    data = config_file.with_name("sums.jsonl")
    data.write_text(data.read_text() + "\nnot json")
    said = StringIO()
    with pytest.raises(CommandError, match="--skip-bad-lines"):
        call_command("train", str(config_file), stderr=said)
    assert "line 21" in said.getvalue()


def test_train_leaves_a_queued_session_to_its_worker(queued):
    with pytest.raises(CommandError, match="is queued"):
        call_command("train", str(queued.pk))


def test_start_stop_and_resume_are_the_verbs(draft, capsys):
    call_command("start", str(draft.pk))
    draft.refresh_from_db()
    assert draft.status == "queued"
    with pytest.raises(CommandError, match="is queued"):
        call_command("start", str(draft.pk))
    Session.objects.filter(pk=draft.pk).update(attempt=1)
    call_command("stop", draft.name)
    draft.refresh_from_db()
    assert draft.status == "stopped"
    call_command("resume", str(draft.pk))
    draft.refresh_from_db()
    assert draft.status == "queued"
    assert "goes on from its newest checkpoint" in capsys.readouterr().out


def test_resume_takes_the_name_of_a_checkpoint(queued):
    for step in (2, 4):
        folder = queued.folder / "checkpoints" / f"training-{step:08d}"
        folder.mkdir(parents=True)
        (folder / "MANIFEST.json").write_text('{"files": {}}')
    Session.objects.filter(pk=queued.pk).update(status="failed")
    with pytest.raises(CommandError, match="can't be used"):
        call_command("resume", str(queued.pk), checkpoint="training-00000009")
    call_command("resume", str(queued.pk), checkpoint="training-00000002")
    queued.refresh_from_db()
    assert queued.status == "queued"
    assert [path.name for path in (queued.folder / "checkpoints").iterdir()] == ["training-00000002"]


def test_start_says_what_is_wrong_on_its_field(draft):
    lifecycle.save_draft(draft, {"model": {"name": "local/missing"}})
    with pytest.raises(CommandError, match=r"model\.name: There is no folder"):
        call_command("start", str(draft.pk))


@pytest.mark.parametrize("name", ["nothing", "00000000-0000-0000-0000-000000000000"])
def test_an_unknown_session_is_said_so(db, name):
    with pytest.raises(CommandError, match="no session"):
        call_command("stop", name)


def test_a_name_that_two_sessions_have_is_refused(draft, owner):
    lifecycle.create_draft(draft.team, owner, draft.name)
    with pytest.raises(CommandError, match="Several sessions"):
        call_command("start", draft.name)


def test_reap_names_the_sessions_that_it_took_back(queued, capsys):
    call_command("reap")
    assert "living worker" in capsys.readouterr().err
    lifecycle.claim(queued.pk)
    Session.objects.filter(pk=queued.pk).update(worker="elsewhere:1/2/3", lease_until=None)
    call_command("reap")
    assert str(queued.pk) in capsys.readouterr().out
