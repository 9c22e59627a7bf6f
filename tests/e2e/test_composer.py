"""A reward composed as somebody does it: a real browser, typing, keys, and a page that is nearly left."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.e2e.app import App
from tests.e2e.conftest import PASSWORD

pytestmark = pytest.mark.e2e
AUTH = ("charlie", PASSWORD)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    running = App(tmp_path_factory.mktemp("app"), LORACRAFT_PASSWORD=PASSWORD)
    running.manage("collectstatic", "--noinput")
    running.manage("migrate", "--noinput")
    running.manage("create_user", "charlie")
    running.start_web()
    yield running
    running.end()


@pytest.fixture
def composer(app: App, page: Page) -> Page:
    page.goto(f"{app.url}/login/?next=/rewards/")
    page.get_by_label("Name").fill("charlie")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/rewards/")
    page.get_by_role("link", name="New reward").click()
    page.wait_for_url("**/rewards/new/")
    return page


def total(page: Page) -> str:
    return page.locator("[data-total]").inner_text().split()[0]


def add(page: Page, title: str) -> None:
    parts = page.locator("[data-part]")
    before = parts.count()
    page.get_by_role("button", name=f"Add {title}", exact=True).click()
    expect(parts).to_have_count(before + 1)


def problems_of(page: Page) -> list[str]:
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    return found


def test_a_reward_of_two_functions_and_a_gate_is_composed_scored_saved_and_chosen(app: App, composer: Page) -> None:
    page = composer
    problems = problems_of(page)
    page.get_by_label("Name", exact=True).first.fill("Capitals")
    search_the_catalogue(page)
    add(page, "Exact match")
    add(page, "Length")
    see_the_score_change(page)
    see_errors_at_their_field(page)
    move_by_keyboard(page)
    remove_and_undo(page)
    page.get_by_role("button", name="Create reward").click()
    page.wait_for_url(re.compile(r"/rewards/[0-9a-f-]{36}/$"))
    expect(page.get_by_text("Total = 0.5 × length + 2 × exact_match; -1 if length < 0.5")).to_be_visible()
    find_it_in_the_stepper(app, page)
    assert not problems


def search_the_catalogue(page: Page) -> None:
    page.get_by_label("Search functions").fill("exact match")
    expect(page.get_by_role("button", name="Add Exact match")).to_be_visible()
    expect(page.get_by_role("button", name="Add Length", exact=True)).to_be_hidden()
    page.get_by_label("Search functions").fill("zzzz")
    expect(page.get_by_text("No function has these words.")).to_be_visible()
    page.get_by_label("Search functions").fill("")


def see_the_score_change(page: Page) -> None:
    page.get_by_label("Question").fill("What is the capital of France?")
    page.get_by_label("Reference answer").fill("Paris")
    page.get_by_label("Answer of the model").fill("Paris")
    expect(page.locator("[data-total]")).to_contain_text("2 of 2")
    page.locator("#id_0-weight").fill("2")
    page.locator("#id_1-weight").fill("0.5")
    expect(page.locator("[data-total]")).to_contain_text("2.5 of 2.5")
    expect(page.locator("#share-0")).to_have_text("80 %")
    page.locator("#id_1-parameter-longest").fill("5")
    page.locator("#id_1-parameter-fade").fill("5")
    page.locator("#id_1-gate").fill("0.5")
    page.get_by_label("Total of a closed gate").fill("-1")
    page.get_by_label("Answer of the model").fill("Paris, which everybody knows to be the capital of France.")
    expect(page.locator("[data-gate]")).to_contain_text("The gate “length” did not hold.")
    assert total(page) == "-1"


def see_errors_at_their_field(page: Page) -> None:
    page.locator("#id_1-parameter-fade").fill("0")
    expect(page.locator("#error-1-parameter-fade")).to_contain_text("greater than or equal to 1")
    page.locator("#id_1-parameter-fade").fill("5")
    expect(page.locator("#error-1-parameter-fade")).to_be_empty()


def move_by_keyboard(page: Page) -> None:
    page.locator("#id_1-weight").press("Alt+ArrowUp")
    expect(page.locator("[data-part]").first).to_have_id("part-1")
    expect(page.locator("#part-1 [data-move=down]")).to_be_focused()
    # What was typed moved along.
    expect(page.locator("#id_1-gate")).to_have_value("0.5")


def remove_and_undo(page: Page) -> None:
    page.get_by_role("button", name="Remove Exact match").click()
    expect(page.get_by_text("“exact_match” is removed.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#id_0-weight")).to_have_value("2")


def find_it_in_the_stepper(app: App, page: Page) -> None:
    page.goto(f"{app.url}/sessions/")
    page.get_by_role("button", name="New session").first.click()
    page.wait_for_url("**/setup/model/")
    page.goto(page.url.replace("/model/", "/reward/"))
    card = page.locator(".choice", has_text="Capitals")
    expect(card).to_contain_text("Yours")
    card.click()
    expect(page.locator("#saved-mark")).to_contain_text("Saved")


def test_a_page_with_changes_is_not_left_by_accident(app: App, composer: Page) -> None:
    page, asked = composer, list[str]()

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    add(page, "Length")
    expect(page.get_by_text("Not saved yet")).to_be_visible()
    page.once("dialog", stay)
    page.get_by_role("link", name="Cancel").click(no_wait_after=True)
    expect(page.locator("[data-part]")).to_have_count(1)
    assert asked == ["beforeunload"] and page.url.endswith("/rewards/new/")


def test_rows_of_a_dataset_are_scored_one_after_the_other(app: App, composer: Page) -> None:
    page = composer
    body = {"task": "basic_arithmetic", "seed": 1, "size": 20, "name": "Arithmetic"}
    made = page.request.post(f"{app.url}/api/datasets/generate", data=body, headers={"Authorization": basic()})
    assert made.status == 201, made.text()
    page.reload()
    add(page, "Right number or formula")
    page.get_by_label("Row of").select_option(label="Arithmetic, version 1")
    question = page.get_by_label("Question")
    expect(question).not_to_have_value("")
    first = question.input_value()
    expect(page.get_by_text("counts as right")).to_be_visible()
    page.get_by_role("button", name="Next row").click()
    expect(question).not_to_have_value(first)
    page.get_by_label("Answer of the model").fill("I don't know.")
    expect(page.get_by_text("counts as wrong")).to_be_visible()
    page.get_by_role("button", name="Row before").click()
    expect(question).to_have_value(first)
    expect(page.get_by_label("Answer of the model")).to_have_value("I don't know.")


def basic() -> str:
    import base64

    return "Basic " + base64.b64encode(":".join(AUTH).encode()).decode()


def test_a_reward_is_composed_without_scripts_too(app: App, composer: Page) -> None:
    state = composer.context.storage_state()
    assert composer.context.browser is not None
    context = composer.context.browser.new_context(java_script_enabled=False, storage_state=state)
    page = context.new_page()
    page.goto(f"{app.url}/rewards/new/")
    page.get_by_label("Name", exact=True).first.fill("Plain")
    page.get_by_role("button", name="Add Length", exact=True).click()
    page.get_by_role("button", name="Add Exact match").click()
    page.get_by_role("button", name="Move Exact match up").click()
    page.locator("#id_0-weight").fill("0.25")
    page.get_by_role("button", name="Score now").click()
    expect(page.locator("[data-weights]")).to_have_text("1.25")
    page.get_by_role("button", name="Create reward").click()
    expect(page.get_by_text("Total = 1 × exact_match + 0.25 × length")).to_be_visible()
    context.close()
