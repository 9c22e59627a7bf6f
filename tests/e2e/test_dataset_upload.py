"""Uploads as somebody does them: a real browser, a connection that breaks, a page that is closed half-way."""

import hashlib
import http.client
import re
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.e2e.app import App, wait_for
from tests.e2e.conftest import sign_in

pytestmark = pytest.mark.e2e
MIB = 1024 * 1024
UPLOADS = "**/api/datasets/uploads/*"
ROWS = 60_000
VERSION = (
    "select row_count, report ->> '$.source.sha256' from datasets_app_datasetversion"
    " join datasets_app_dataset on dataset_id = datasets_app_dataset.id where name = ?"
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of 36 MB: five pieces."""
    file = tmp_path_factory.mktemp("files") / "big sums.csv"
    with file.open("w") as lines:
        lines.write("question,answer,note\n")
        lines.writelines(f"What is {n} + 1?,{n + 1},{'x' * 580}\n" for n in range(ROWS))
    assert 4 * 8 * MIB < file.stat().st_size < 5 * 8 * MIB
    return file


@pytest.fixture
def signed_in(app: App, page: Page) -> Page:
    sign_in(app, page, "/datasets/upload/")
    return page


def counted_patches(page: Page) -> list[int]:
    """Where each piece that is sent starts."""
    offsets: list[int] = []

    def note(request: Request) -> None:
        if request.method == "PATCH":
            offsets.append(int(request.headers["upload-offset"]))

    page.on("request", note)
    return offsets


def breaking(page: Page, when: Callable[[int], bool]) -> None:
    """Breaks the connection of the first piece whose start fulfils `when`."""
    broken: list[int] = []

    def decide(route: Route) -> None:
        offset = int(route.request.headers.get("upload-offset", "-1"))
        if route.request.method == "PATCH" and when(offset) and not broken:
            broken.append(offset)
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(UPLOADS, decide)


def nothing_uploaded(app: App) -> bool:
    return not app.rows("select 1 from datasets_app_upload") and not list((app.data / "uploads").glob("*.part"))


def rss(app: App) -> float:
    return float(psutil.Process(app.processes["web"].pid).memory_info().rss) / MIB


def test_an_upload_goes_on_after_a_broken_connection_and_becomes_a_dataset(
    app: App, signed_in: Page, table: Path
) -> None:
    page, problems = signed_in, list[str]()
    page.on("pageerror", lambda error: problems.append(str(error)))
    offsets, before = counted_patches(page), rss(app)
    breaking(page, lambda offset: offset == 16 * MIB)
    page.locator("#id_file").set_input_files(table)
    page.locator("#id_name").fill("My sums")
    page.get_by_role("button", name="Upload and check").click()
    page.wait_for_url(re.compile(r"/datasets/imports/"), timeout=60_000)
    assert rss(app) - before < 100
    page.wait_for_url(re.compile(r"/datasets/[0-9a-f-]{36}/"), timeout=120_000)
    expect(page.get_by_role("heading", name="My sums")).to_be_visible()
    assert sorted(set(offsets)) == [number * 8 * MIB for number in range(5)]
    assert offsets.count(16 * MIB) == 2, "the broken piece, and only that, was sent again"
    [(rows, sha256)] = app.rows(VERSION, "My sums")
    assert rows == ROWS
    assert sha256 == hashlib.sha256(table.read_bytes()).hexdigest()
    wait_for(lambda: nothing_uploaded(app), 20, "the end of the uploaded file")
    assert not problems


def test_an_upload_goes_on_where_it_stopped_when_the_page_was_closed(app: App, signed_in: Page, table: Path) -> None:
    page = signed_in
    breaking_for_ever(page, 16 * MIB)
    page.locator("#id_file").set_input_files(table)
    page.get_by_role("button", name="Upload and check").click()
    expect(page.locator("[data-status]")).to_contain_text("The connection broke", timeout=30_000)
    page.get_by_role("button", name="Pause").click()
    page.goto(f"{app.url}/datasets/")
    expect(page.get_by_text("Upload unfinished")).to_be_visible()
    expect(page.get_by_text("16.8 MB of")).to_be_visible()
    page.goto(f"{app.url}/datasets/upload/")
    page.unroute(UPLOADS)
    offsets = counted_patches(page)
    page.locator("#id_file").set_input_files(table)
    expect(page.locator("[data-note]")).to_contain_text("16.8 MB have arrived already")
    page.get_by_role("button", name="Upload and check").click()
    page.wait_for_url(re.compile(r"/datasets/imports/"), timeout=60_000)
    assert offsets == [16 * MIB, 24 * MIB, 32 * MIB]


def breaking_for_ever(page: Page, start: int) -> None:
    def decide(route: Route) -> None:
        if route.request.method == "PATCH" and int(route.request.headers["upload-offset"]) >= start:
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(UPLOADS, decide)


def test_a_cancelled_upload_leaves_nothing_and_another_can_start(app: App, signed_in: Page, table: Path) -> None:
    page = signed_in
    breaking_for_ever(page, 8 * MIB)
    page.locator("#id_file").set_input_files(table)
    page.get_by_role("button", name="Upload and check").click()
    expect(page.locator("[data-status]")).to_contain_text("The connection broke", timeout=30_000)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Upload and check")).to_be_enabled()
    wait_for(lambda: nothing_uploaded(app), 60, "the end of the upload")


def test_a_refusal_is_told_in_the_server_s_words(app: App, signed_in: Page, tmp_path: Path) -> None:
    page = signed_in
    page.route("**/api/datasets/uploads", lambda route: route.fulfill(status=507, json={"error": "The disk is full."}))
    file = tmp_path / "x.csv"
    file.write_text("question,answer\n1 + 1?,2\n")
    page.locator("#id_file").set_input_files(file)
    page.get_by_role("button", name="Upload and check").click()
    expect(page.locator("[data-problem]")).to_have_text("The disk is full.")
    expect(page.get_by_role("button", name="Go on")).to_be_enabled()


def test_pasted_text_becomes_a_dataset(app: App, signed_in: Page) -> None:
    page = signed_in
    page.get_by_label("Rows").fill('{"question": "1 + 1?", "answer": "2"}\n{"question": "2 + 2?", "answer": "4"}\n')
    page.get_by_role("button", name="Import the text").click()
    page.wait_for_url(re.compile(r"/datasets/[0-9a-f-]{36}/"), timeout=60_000)
    expect(page.get_by_role("heading", name="Pasted text")).to_be_visible()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused_before_it_fills_the_memory(app: App, chunked: bool) -> None:
    before = rss(app)
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
    connection.putrequest("POST", "/login/")
    connection.putheader(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(10**10))))
    connection.endheaders()
    sent, block = 0, b"x" * MIB
    # The server hangs up on whoever goes on.
    with closing(connection), suppress(ConnectionError, TimeoutError):
        while sent < 500 * MIB:
            connection.send(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
            sent += len(block)
    assert sent < 100 * MIB
    assert rss(app) - before < 100
    assert app.answers()
