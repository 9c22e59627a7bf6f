"""Set-up and serve: what can be tested without installing anything."""

import os
import socket
import sys
from pathlib import Path

import pytest

from loracraft import dotenv

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
import serve
import setup as setting_up


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without the variables of these tests, and after them as it was, whatever the code under test has set."""
    for name in ("LORACRAFT_DOTENV", "HOST", "PORT", "QUOTED"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def test_the_env_file_fills_what_the_environment_does_not_set(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("HOST", "lora.example")
    file = tmp_path / ".env"
    file.write_text("# comment\n\nHOST=127.0.0.1\nexport PORT = 5001\nQUOTED='a # b'\n")
    dotenv.load(file)
    assert (os.environ["HOST"], os.environ["PORT"], os.environ["QUOTED"]) == ("lora.example", "5001", "a # b")


def test_a_line_of_the_env_file_that_means_nothing_is_named(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# one\nPORT 5001\n")
    with pytest.raises(SystemExit, match="line 2"):
        dotenv.load(file)


def test_the_example_of_the_env_file_sets_nothing_by_itself(environment: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)
    dotenv.load(Path(__file__).parent.parent / ".env.example")
    assert dict(os.environ) == before


def test_a_step_runs_again_only_when_what_it_depends_on_has_changed(tmp_path: Path) -> None:
    source, stamp = tmp_path / "source", tmp_path / "made" / "stamp"
    source.write_text("one")
    first = setting_up.digest([source, "options"])
    assert not setting_up.unchanged(stamp, first)
    setting_up.write(stamp, first)
    assert setting_up.unchanged(stamp, setting_up.digest([source, "options"]))
    source.write_text("two")
    assert not setting_up.unchanged(stamp, setting_up.digest([source, "options"]))
    assert setting_up.digest(["ab", "c"]) != setting_up.digest(["a", "bc"])


def test_the_stamp_of_the_dev_packages_covers_the_files_they_include() -> None:
    assert setting_up.read_with("requirements-dev.txt") == [
        "requirements-dev.txt",
        "requirements.txt",
        "constraints.txt",
    ]


def test_the_torch_that_set_up_installs_first_is_the_pinned_one() -> None:
    assert setting_up.pinned("torch").startswith("torch==2.")


def test_an_index_that_does_not_answer_is_no_error() -> None:
    assert setting_up.answers("http://127.0.0.1:9/") is False


def test_a_failing_command_shows_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setting_up, "LOG", tmp_path / "setup.log")
    with pytest.raises(setting_up.SetupError, match=r"(?s)It failed.*no such luck.*Try again"):
        setting_up.run("It", [sys.executable, "-c", "raise SystemExit('no such luck')"], hint="Try again.")
    with pytest.raises(setting_up.SetupError, match="could not start"):
        setting_up.run("It", [tmp_path / "missing"])


def test_a_port_that_is_taken_is_told_before_anything_starts() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(serve.ServeError, match="make run PORT="):
            serve.check_free("127.0.0.1", other.getsockname()[1])


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "5000.0"])
def test_a_port_that_is_none_is_told(environment: pytest.MonkeyPatch, port: str) -> None:
    environment.setenv("PORT", port)
    with pytest.raises(serve.ServeError, match="1 to 65535"):
        serve.port_number()


def test_the_port_is_5000_unless_told(environment: pytest.MonkeyPatch) -> None:
    assert serve.port_number() == 5000


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:5000/"),
        ("0.0.0.0", "http://127.0.0.1:5000/"),  # noqa: S104
        ("::", "http://[::1]:5000/"),
        ("fe80::1", "http://[fe80::1]:5000/"),
        ("lora.example", "http://lora.example:5000/"),
    ],
)
def test_the_address_that_is_printed_can_be_opened(host: str, url: str) -> None:
    assert serve.Servers(host, 5000, demo=False).url == url
