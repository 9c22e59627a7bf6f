import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.app import App
from tests.exports import tiny

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "correct horse battery"
# Two processes with browsers, servers and trainings of their own share a small machine.
WAIT_MS = 30_000
expect.set_options(timeout=WAIT_MS)


def chromium() -> str | None:
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


@pytest.fixture(scope="session", autouse=True)
def fresh_tables(django_db_setup: None) -> None:
    """For the apps of these tests to copy."""


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.model(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture(scope="module")
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One for all tests of a file: each looks only at what it made itself."""
    running = App(tmp_path_factory.mktemp("app"), LORACRAFT_PASSWORD=PASSWORD)
    running.prepare()
    running.start_web()
    if not request.node.get_closest_marker("no_worker"):
        running.start_worker()
    yield running
    running.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of a file. Not for all files: while it runs, Django's database is closed to this process."""
    program = chromium()
    if program is None:
        pytest.skip("needs Chromium: apt install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """As of somebody who was never here."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(WAIT_MS)
    yield context.new_page()
    context.close()


def sign_in(app: App, page: Page, path: str = "/") -> None:
    """As the owner of the app's one team, and on to `path`."""
    page.goto(f"{app.url}/login/?next={path}")
    page.get_by_label("Name").fill("charlie")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{path}")
