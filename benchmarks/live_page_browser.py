"""The live page in a browser: 100,000 steps against 1,000

The sessions of the benchmark before, behind a real web process, opened in headless Chromium: from the click to the
frame in which every chart of the overview stands with its last step. Then a fifth of the run is dragged out of the
reward chart, until its steps are drawn, and the cursor moves over the charts for 200 frames. Median of five openings
and zooms; milliseconds. The limit for opening is 1,000.
"""

from __future__ import annotations

import secrets
import shutil
import statistics
from pathlib import Path
from typing import Any

from benchmarks.live_page import STEPS, stored_session

FEW = 1_000
ROUNDS = 5
# Calls back in the frame after the one in which all charts show the step they end at.
DRAWN = """last => new Promise((resolve, reject) => {
  const ready = () => {
    const charts = [...document.querySelectorAll('#pane-overview [data-chart]')].filter(chart => chart.offsetParent);
    const steps = charts.map(chart => chart.querySelector('.legend-step')?.textContent.replace(/[^0-9]/g, ''));
    // Charts without a value have no step.
    const known = steps.filter(Boolean);
    if (known.length && known.every(step => step === last)) requestAnimationFrame(() => resolve(performance.now()));
    else if (performance.now() > 30_000) reject(`After 30 s the charts are at ${steps}, not ${last}.`);
    else requestAnimationFrame(ready);
  };
  ready();
})"""
NEXT_FRAME = "began => new Promise(done => requestAnimationFrame(() => done(performance.now() - began)))"
FRAMES = """() => new Promise(resolve => {
  const over = document.querySelector('[data-chart="reward"] .u-over');
  const box = over.getBoundingClientRect();
  const times = [];
  let last = performance.now();
  const step = () => {
    const now = performance.now();
    times.push(now - last);
    last = now;
    if (times.length === 200) return resolve(times);
    const at = { clientX: box.left + box.width * (times.length / 200), clientY: box.top + box.height / 2 };
    over.dispatchEvent(new MouseEvent('mousemove', { ...at, bubbles: true }));
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""


def run(steps: int = STEPS) -> list[dict[str, Any]]:
    from django.conf import settings

    from tests.e2e.app import App

    many, few = stored_session(steps), stored_session(FEW)
    app = App(Path(settings.DATA_DIR), LORACRAFT_PASSWORD=secrets.token_urlsafe())
    try:
        app.prepare()
        app.start_web()
        found = {session.total_steps: measured(app, session) for session in (few, many)}
    finally:
        app.end()
    return [
        {"what": what, "1,000 steps": found[FEW][what], f"{steps:,} steps": found[steps][what],
         "ratio": found[steps][what] / found[FEW][what]}
        for what in found[FEW]
    ]  # fmt: skip


def measured(app: Any, session: Any) -> dict[str, float]:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    signed_in = cookie(app, session)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        first, openings, zooms, frames = [], [], [], []
        for _ in range(ROUNDS):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            context.add_cookies([signed_in])
            page = context.new_page()
            for visit in (first, openings):
                page.goto(f"{app.url}/sessions/{session.pk}/", wait_until="commit")
                visit.append(page.evaluate(DRAWN, str(session.total_steps)))
            zooms.append(zoomed(page))
            frames += page.evaluate(FRAMES)
            context.close()
        browser.close()
    frames.sort()
    return {
        "opening, to the last chart drawn": statistics.median(openings),
        "the same in a browser that never saw the app": statistics.median(first),
        "zoom into a fifth": statistics.median(zooms),
        "frame while the cursor moves, median": statistics.median(frames),
        "frame while the cursor moves, 95th percentile": frames[int(0.95 * len(frames))],
    }


def zoomed(page: Any) -> float:
    box = page.locator('[data-chart="reward"] .u-over').bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.4 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], middle, steps=4)
    began = page.evaluate("performance.now()")
    with page.expect_response(lambda response: "/series/" in response.url) as asked:
        page.mouse.up()
    asked.value.finished()
    return float(page.evaluate(NEXT_FRAME, began))


def cookie(app: Any, session: Any) -> dict[str, str]:
    """Of a signed-in person."""
    from django.conf import settings
    from django.test import Client

    client = Client()
    client.force_login(session.created_by)
    name = settings.SESSION_COOKIE_NAME
    return {"name": name, "value": client.cookies[name].value, "url": app.url}
