"""The live page in a real browser: what a person does with charts and the log while events arrive."""

import csv
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.app import App
from tests.e2e.conftest import PASSWORD

pytestmark = [pytest.mark.e2e, pytest.mark.no_worker]
STEPS = 120

SEED = """
from accounts.models import Team
from tests.training.factories import History, make_session
from training.choices import Status
session = make_session(Team.objects.get(), Status.TRAINING)
history = History(session)
history.warm_up(12)
history.begin(Status.TRAINING, "GRPO", 200)
for step in range(1, {steps} + 1):
    history.step(step, 200, reward=-1.0 if step == 60 else 0.5 + step / 400)
    history.system("", gpu=True)
    history.log(f"Step {{step}} of the run", "warning" if step % 40 == 0 else "info")
    if step % 30 == 0:
        history.checkpoint(step)
        history.held_out(step, step / 200)
history.save(step={steps}, total_steps=200)
print("session", session.pk)
"""

MORE = """
from tests.training.factories import History
from training.choices import Status
from training.models import Session
session = Session.objects.get()
history = History(session)
for step in range({first}, {last} + 1):
    history.step(step, 200, reward=0.9)
    history.log(f"Step {{step}} of the run")
history.log("Memory is short", "warning")
history.save(step={last})
"""


def seed(app: App) -> str:
    """The id of a new session, the only one, that has come to step STEPS and goes on."""
    app.manage("shell", "-c", "from training.models import Session; Session.objects.all().delete()")
    return app.manage("shell", "-c", SEED.format(steps=STEPS)).split("session ")[-1].strip()


@pytest.fixture(scope="module")
def session(app: App) -> str:
    return seed(app)


@pytest.fixture
def live(app: App, session: str, page: Page) -> Iterator[Page]:
    problems = list[str]()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    open_page(app, session, page)
    yield page
    assert not problems


def open_page(app: App, session: str, page: Page) -> None:
    page.goto(f"{app.url}/login/?next=/sessions/{session}/")
    page.get_by_label("Name").fill("charlie")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**/sessions/{session}/")
    expect(chart(page, "reward").locator("canvas")).to_be_visible()


def goes_on(app: App, first: int, last: int) -> None:
    app.manage("shell", "-c", MORE.format(first=first, last=last))


def chart(page: Page, name: str) -> Locator:
    return page.locator(f'[data-chart="{name}"]')


def step_of(page: Page, name: str) -> Locator:
    return chart(page, name).locator(".legend-step")


def value_of(page: Page, name: str, label: str) -> Locator:
    return chart(page, name).locator(".legend-item").filter(has_text=label).locator(".legend-value")


def zoom_state(page: Page) -> Locator:
    return page.locator('#pane-overview [data-toolbar="training"] [data-zoom-state]')


def picture(page: Page, name: str) -> str:
    return str(chart(page, name).locator("canvas").evaluate("canvas => canvas.toDataURL()"))


def at(page: Page, name: str, share: float) -> tuple[float, float]:
    """A place over the plot, at a share of its width."""
    box = chart(page, name).locator(".u-over").bounding_box()
    assert box
    return box["x"] + share * box["width"], box["y"] + box["height"] / 2


def drag(page: Page, name: str, start: float, end: float) -> None:
    chart(page, name).scroll_into_view_if_needed()
    page.mouse.move(*at(page, name, start))
    page.mouse.down()
    page.mouse.move(*at(page, name, (start + end) / 2))
    page.mouse.move(*at(page, name, end))
    page.mouse.up()


def steps_shown(page: Page) -> tuple[int, int]:
    found = re.search(r"Steps (\d+) to (\d+)", zoom_state(page).inner_text())
    assert found, zoom_state(page).inner_text()
    return int(found[1]), int(found[2])


def test_a_drag_zooms_all_charts_asks_for_the_range_and_moves_it(live: Page) -> None:
    with live.expect_response(re.compile(r"/series/\?.*from=\d+")):
        drag(live, "reward", 0.25, 0.5)
    expect(zoom_state(live)).to_contain_text("Steps")
    first, last = steps_shown(live)
    assert 20 < first < 40 < 50 < last < 70
    live.keyboard.down("Shift")
    with live.expect_response(re.compile(r"/series/\?.*from=\d+")):
        drag(live, "kl", 0.8, 0.3)
    live.keyboard.up("Shift")
    moved = steps_shown(live)
    assert moved[0] > first
    assert moved[1] - moved[0] == last - first
    bar = live.get_by_role("group", name="GRPO")
    bar.get_by_role("button", name="Zoom in").click()
    expect(zoom_state(live)).not_to_have_text(f"Steps {moved[0]} to {moved[1]}")
    inside = steps_shown(live)
    assert inside[1] - inside[0] < last - first
    chart(live, "kl").locator(".u-over").dblclick()
    expect(zoom_state(live)).to_contain_text("Drag to zoom")
    expect(bar.get_by_role("button", name="Whole run")).to_be_disabled()


def test_the_cursor_is_in_all_charts_at_once_and_shows_values_and_marks(live: Page) -> None:
    chart(live, "reward").scroll_into_view_if_needed()
    live.mouse.move(*at(live, "reward", 60 / STEPS))
    expect(step_of(live, "kl")).to_have_text(re.compile(r"^step (59|60|61)\b"))
    step = step_of(live, "reward").inner_text()
    assert step_of(live, "kl").inner_text() == step
    assert step_of(live, "grad_norm").inner_text() == step
    assert step_of(live, "sft_loss").inner_text() == "step 12"


def test_the_keyboard_reads_values_and_zooms(live: Page) -> None:
    plot = chart(live, "reward").locator("[data-plot]")
    plot.focus()
    live.keyboard.press("Home")
    live.keyboard.press("ArrowRight")
    expect(step_of(live, "reward")).to_have_text("step 2")
    live.keyboard.press("End")
    expect(step_of(live, "length")).to_have_text(re.compile(f"^step {STEPS}"))
    expect(live.locator("#chart-spoken")).to_contain_text(f"Reward, step {STEPS}, Checkpoint {STEPS}: Reward, mean")
    live.keyboard.press("+")
    expect(zoom_state(live)).to_contain_text("Steps")
    assert steps_shown(live)[0] > 1
    live.keyboard.press("Escape")
    expect(zoom_state(live)).to_contain_text("Drag to zoom")


def test_smoothing_shows_the_mean_beside_the_measured_value_and_is_remembered(live: Page) -> None:
    reward = value_of(live, "reward", "Reward, mean")
    expect(reward).to_have_text("0.800")
    before = picture(live, "reward")
    slider = live.get_by_role("group", name="GRPO").get_by_label("Smoothing")
    slider.fill("0.5")
    expect(reward).to_have_text(re.compile(r"^0\.7\d\d \(0\.800\)$"))
    assert picture(live, "reward") != before
    expect(live.locator('[data-toolbar="pretraining"] [data-smoothing-value]')).to_have_text("0.90")
    live.reload()
    expect(reward).to_have_text(re.compile(r"^0\.7\d\d \(0\.800\)$"))
    slider.fill("0")
    expect(reward).to_have_text("0.800")


def test_a_logarithmic_scale_hidden_lines_and_marks_change_the_picture(live: Page) -> None:
    first = picture(live, "kl")
    button = chart(live, "kl").get_by_role("button", name="on a logarithmic scale")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    logarithmic = picture(live, "kl")
    assert logarithmic != first
    live.get_by_role("group", name="GRPO").get_by_label("Marks").uncheck()
    live.wait_for_function(
        "before => document.querySelector('[data-chart=kl] canvas').toDataURL() !== before", arg=logarithmic
    )
    length = picture(live, "length")
    chart(live, "length").get_by_role("button", name=re.compile("^min")).click()
    assert picture(live, "length") != length


def test_the_table_behind_a_chart_has_its_values_and_marks(live: Page) -> None:
    chart(live, "held_out").get_by_role("button", name="as a table").click()
    table = chart(live, "held_out").get_by_role("table")
    expect(table.get_by_role("row")).to_have_count(1 + STEPS // 30)
    newest = table.get_by_role("row").nth(1)
    expect(newest).to_contain_text(f"{STEPS}")
    expect(newest).to_contain_text("0.600")
    expect(newest).to_contain_text(f"Checkpoint {STEPS}")


def test_a_chart_is_downloaded_as_a_table_of_all_its_rows_and_as_a_picture(live: Page, tmp_path: Path) -> None:
    drag(live, "reward", 0.25, 0.5)
    expect(zoom_state(live)).to_contain_text("Steps")
    first, last = steps_shown(live)
    with live.expect_download() as waiting:
        chart(live, "kl").get_by_role("button", name="as CSV").click()
    waiting.value.save_as(tmp_path / "kl.csv")
    with (tmp_path / "kl.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(first, last + 1))
    assert all(float(row["kl"]) > 0 for row in rows)

    with live.expect_download() as waiting:
        chart(live, "kl").get_by_role("button", name="as PNG").click()
    assert waiting.value.suggested_filename.endswith("-kl.png")
    waiting.value.save_as(tmp_path / "kl.png")
    content = (tmp_path / "kl.png").read_bytes()
    assert content.startswith(b"\x89PNG\r\n")
    width, height = struct.unpack(">II", content[16:24])
    plot = chart(live, "kl").locator("canvas").bounding_box()
    assert plot
    assert width > plot["width"]
    assert height > plot["height"] + 30


def test_the_machine_is_drawn_over_time_and_zoomed_by_itself(live: Page) -> None:
    live.get_by_role("tab", name="System").click()
    expect(live.locator("#machine")).to_contain_text("NVIDIA H100")
    expect(live.locator('[data-now="gpu_memory"]')).to_have_text(re.compile(r"^3\d\.\d GB of 85\.5 GB$"))
    expect(chart(live, "gpu_memory").locator("canvas")).to_be_visible()
    expect(chart(live, "disk").locator("canvas")).to_be_visible()
    with live.expect_response(re.compile(r"/series/\?.*kind=system.*from=\d+")):
        drag(live, "cpu", 0.2, 0.6)
    expect(live.locator('[data-toolbar="system"] [data-zoom-state]')).to_contain_text("From")
    expect(zoom_state(live)).to_have_text("Drag to zoom, with Shift to move")


# These two change the session, one after the other.


def test_the_log_is_searched_filtered_and_followed_while_lines_arrive(app: App, live: Page) -> None:
    live.get_by_role("tab", name="Log").click()
    lines, box = live.locator("#log-lines li"), live.locator("#log-box")
    at_end = "box => box.scrollTop + box.clientHeight >= box.scrollHeight - 4"
    expect(lines).to_have_count(STEPS)
    assert box.evaluate(at_end)

    live.get_by_label("Search the log").fill("STEP 11")
    expect(lines).to_have_count(11)
    expect(lines.first.locator("mark")).to_have_text("Step 11")
    live.get_by_label("Lines to show").select_option("warning")
    expect(lines).to_have_count(0)
    expect(live.get_by_text("No line of the log is like that.")).to_be_visible()
    live.get_by_label("Search the log").fill("")
    expect(lines).to_have_count(STEPS // 40)

    goes_on(app, STEPS + 1, STEPS + 5)
    expect(lines).to_have_count(STEPS // 40 + 1)
    expect(lines.last).to_contain_text("Memory is short")
    live.get_by_label("Lines to show").select_option("info")
    expect(lines).to_have_count(STEPS + 6)

    assert box.evaluate(at_end)
    box.hover()
    live.mouse.wheel(0, -800)
    expect(live.get_by_label("Follow")).not_to_be_checked()
    before = box.evaluate("box => box.scrollTop")
    goes_on(app, STEPS + 6, STEPS + 8)
    expect(lines).to_have_count(STEPS + 10)
    assert box.evaluate("box => box.scrollTop") == before
    live.get_by_label("Follow").check()
    live.wait_for_function(f"({at_end})(document.querySelector('#log-box'))")


def test_events_arrive_in_charts_and_tiles_while_a_zoom_stays_where_it_is(app: App, live: Page) -> None:
    goes_on(app, STEPS + 9, STEPS + 11)
    expect(step_of(live, "reward")).to_have_text(f"step {STEPS + 11}")
    expect(live.locator('[data-tile="reward"] [data-value]')).to_have_text("0.900")
    drag(live, "reward", 0.2, 0.4)
    expect(zoom_state(live)).to_contain_text("Steps")
    shown = steps_shown(live)
    live.mouse.move(0, 0)
    goes_on(app, STEPS + 12, STEPS + 14)
    expect(live.locator("#stage-count")).to_have_text(f"step {STEPS + 14} of 200")
    assert steps_shown(live) == shown
    live.get_by_role("group", name="GRPO").get_by_role("button", name="Whole run").click()
    expect(step_of(live, "reward")).to_have_text(f"step {STEPS + 14}")
