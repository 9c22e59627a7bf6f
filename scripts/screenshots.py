"""Shoots every page of a running app: `python scripts/screenshots.py OUT --url http://127.0.0.1:5000 --user demo`.

The password comes from LORACRAFT_PASSWORD. Each page is shot at 1440 and 390 pixels, light and dark; Chromium must be
installed. What is shown of a session is the newest one, or `--session ID`.
"""

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, StorageState, sync_playwright
from playwright.sync_api import Error as BrowserError

SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
THEMES = ("light", "dark")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
SETTLE_MS = 1500
STEPS = ("model", "dataset", "prompt", "reward", "config", "review")
TABS = ("overview", "groups", "evaluation", "log", "system", "config", "artefacts")


def main() -> int:
    options = arguments()
    program = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)
    if program is None:
        print("Chromium is needed: apt install chromium", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            shoot_all(browser, options)
        except BrowserError as error:
            print(f"Stopped: {error.message.splitlines()[0]}", file=sys.stderr)
            return 1
        finally:
            browser.close()
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Shoots every page of a running app.")
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("--url", default="http://127.0.0.1:5000")
    parser.add_argument("--user", default="demo")
    parser.add_argument("--session", help="id of the session to show (default: the newest)")
    parser.add_argument("--only", default="", help="only pages whose name contains this")
    parser.add_argument("--whole", action="store_true", help="the whole page, not only its first screen")
    options = parser.parse_args()
    options.url = options.url.rstrip("/")
    return options


def shoot_all(browser: Browser, options: argparse.Namespace) -> None:
    state = signed_in(browser, options)
    for size, (width, height) in SIZES.items():
        for theme in THEMES:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=theme,
                reduced_motion="reduce",
                storage_state=state,
            )
            page = context.new_page()
            for name, address in pages(page, options):
                if options.only in name:
                    shoot(page, address, options.out / f"{name}-{size}-{theme}.png", whole=options.whole)
            context.close()


def signed_in(browser: Browser, options: argparse.Namespace) -> StorageState:
    """Signs in once, shoots the page on which one does, and returns the cookies."""
    page = browser.new_page()
    page.goto(f"{options.url}/login/")
    page.screenshot(path=options.out / "login-desktop-light.png")
    page.locator("#id_username").fill(options.user)
    page.locator("#id_password").fill(os.environ.get("LORACRAFT_PASSWORD", ""))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()
    if "/login/" in page.url:
        raise SystemExit(f"{options.user} could not sign in: is LORACRAFT_PASSWORD set to the right password?")
    state = page.context.storage_state()
    page.close()
    return state


def pages(page: Page, options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Name and address of every page. Ids are read off the lists, so what exists is shown."""
    for name in ("home", "sessions", "models", "configs", "datasets", "rewards", "help"):
        yield name, f"{options.url}/{'' if name == 'home' else f'{name}/'}"
    yield "upload", f"{options.url}/datasets/upload/"
    yield "generate", f"{options.url}/datasets/generate/"
    yield "rewards-new", f"{options.url}/rewards/new/"
    yield "rewards-import", f"{options.url}/rewards/import/"
    for name in ("datasets", "rewards"):
        if found := first_link(page, f"{options.url}/{name}/", rf"/{name}/[0-9a-f-]{{36}}/$"):
            yield f"{name}-detail", options.url + found
    session = options.session or newest_session(page, options.url)
    if session:
        for tab in TABS:
            yield f"session-{tab}", f"{options.url}/sessions/{session}/#{tab}"
        yield "try", f"{options.url}/sessions/{session}/try/"
    if draft := first_link(page, f"{options.url}/sessions/?status=draft", r"/sessions/[0-9a-f-]{36}/setup/"):
        base = draft.split("/setup/")[0]
        for step in STEPS:
            yield f"new-{step}", f"{options.url}{base}/setup/{step}/"


def newest_session(page: Page, url: str) -> str | None:
    link = first_link(page, f"{url}/sessions/", r"/sessions/[0-9a-f-]{36}/$")
    return link.split("/")[2] if link else None


def first_link(page: Page, address: str, pattern: str) -> str | None:
    page.goto(address)
    links: list[str] = page.eval_on_selector_all("a[href]", "all => all.map(a => a.getAttribute('href'))")
    return next((link for link in links if re.search(pattern, link.split("?")[0].split("#")[0])), None)


def shoot(page: Page, address: str, file: Path, *, whole: bool) -> None:
    # A new hash alone would not load the page again.
    page.goto("about:blank")
    answer = page.goto(address)
    if answer is not None and answer.status == 404:
        return
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=file, full_page=whole)
    overflow = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    print(file.name + (f"  wider than the window by {overflow} px" if overflow > 0 else ""), flush=True)


if __name__ == "__main__":
    sys.exit(main())
