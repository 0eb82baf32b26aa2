"""A person at a real browser: the product's own server on this run's database, and a headless Chromium.

Whatever a test does, at its end no page may have complained: no error in the console, no violation of the content
security policy, no request to another host.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Group

from config.roles import roles_seed
from customers.models import User
from tests.conftest import World
from tests.desk import Desk

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PASSWORD = "correct horse battery staple"
SCREENSHOTS = Path(__file__).parent / "screenshots"
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Wide and light, narrow and dark are looked at each time; PURSER_BROWSER_LOOKS=all looks at these as well. With any
# value all screenshots are kept, else those of the stories: painting them was half of an ordinary run's time.
_SELDOM = {("dark", 1440), ("light", 360)}
# A refused form answers 409 or 422, which the browser mentions.
_EXPECTED = re.compile(r"Failed to load resource: the server responded with a status of (404|409|422)")
_WATCH_POLICY = (
    "document.addEventListener('securitypolicyviolation',"
    " (event) => console.error('policy violation: ' + event.violatedDirective + ' ' + event.blockedURI))"
)
# What is moved by a style has arrived, and been laid out.
_SETTLED = """
async () => {
  const passing = document.getAnimations().filter((one) => Number.isFinite(one.effect.getComputedTiming().endTime));
  await Promise.allSettled(passing.map((one) => one.finished));
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)
    if os.environ.get("PURSER_BROWSER_LOOKS") != "all":
        seldom = [item for item in items if _look_of(item) in _SELDOM]
        config.hook.pytest_deselected(items=seldom)
        items[:] = [item for item in items if item not in seldom]


def _look_of(item: pytest.Item) -> tuple[Any, Any]:
    shape = getattr(item, "callspec", None)
    found = shape.params if shape else {}
    return found.get("theme"), found.get("width")


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The address of a server as `make run` starts it, with static files collected for it."""
    if not Path(CHROMIUM).exists():
        pytest.skip(
            f"NO BROWSER: there is no Chromium at {CHROMIUM} (apt-get install chromium, or set CHROMIUM)"
        )
    static = tempfile.mkdtemp(prefix="purser-static-")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "STATIC_ROOT": static, "PURSER_DATABASE_ROLE": "app", "LOG_LEVEL": "ERROR"}
    run = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
    subprocess.run(run, check=True, cwd=settings.BASE_DIR, env=environment)
    serve = [
        "granian",
        "config.wsgi:application",
        "--interface",
        "wsgi",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with (Path(static) / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *serve], cwd=settings.BASE_DIR, env=environment, stdout=log, stderr=log
        )
    base = f"http://127.0.0.1:{port}"
    try:
        _wait(base, server)
        yield base
    finally:
        server.terminate()
        server.wait(timeout=10)
        shutil.rmtree(static, ignore_errors=True)


def _wait(base: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server stopped"
        try:
            urllib.request.urlopen(f"{base}/admin/login/", timeout=5).close()  # noqa: S310 - our own server
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server does not answer")


@pytest.fixture(scope="session")
def chromium(site: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where there is a browser

    # Playwright's loop runs in this thread, and Django would take these tests for asynchronous code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@dataclass
class Person:
    """Somebody logged in, looking at one environment. `page` is Playwright's."""

    page: Any
    base: str
    name: str = ""
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        self.page.goto(self.base + path)

    def find(self, text: str) -> None:
        """By the list's search, to the page of the only customer that it finds."""
        self.go(f"/admin/customers/customer/?q={text}")
        self.page.locator("#result_list a").first.click()
        self.page.wait_for_selector(".p-customer")

    def open_dialog(self, name: str) -> Any:
        link = self.page.get_by_role("link", name=name, exact=True)
        link.and_(self.page.locator("[data-dialog]")).click()
        dialog = self.page.locator("dialog[open]")
        dialog.wait_for()
        return dialog

    def keep(self, name: str, *, full_page: bool = True, always: bool = False) -> None:
        """Nothing may be wider than the window; and, `always` or when asked for, a screenshot to look at afterwards."""
        self.page.evaluate(_SETTLED)
        if always or "PURSER_BROWSER_LOOKS" in os.environ:
            SCREENSHOTS.mkdir(exist_ok=True)
            self.page.wait_for_timeout(200)
            self.page.screenshot(path=str(SCREENSHOTS / f"{name}.png"), full_page=full_page)
        assert self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, name


@pytest.fixture
def person(stranger: Callable[..., Person]) -> Callable[..., Person]:
    """`person(world)` is a new superuser, or somebody in a role, logged in and looking at that environment."""

    def enter(world: World, *, role: str | None = None, width: int = 1440, theme: str = "light") -> Person:
        someone = stranger(width=width, theme=theme)
        _log_in(someone, world, role)
        return someone

    return enter


@pytest.fixture
def stranger(chromium: Any, site: str) -> Iterator[Callable[..., Person]]:
    """`stranger()` is somebody at a screen of their own who is not logged in."""
    opened: list[tuple[Any, Person]] = []

    def enter(*, width: int = 1440, theme: str = "light") -> Person:
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        context.add_init_script(_WATCH_POLICY)
        someone = Person(context.new_page(), site)
        opened.append((context, someone))
        _listen(someone)
        return someone

    yield enter
    for context, someone in opened:
        context.close()
        assert someone.complaints == []


def _listen(someone: Person) -> None:
    page, complain = someone.page, someone.complaints.append

    def message(said: Any) -> None:
        if said.type == "error" and not _EXPECTED.match(said.text):
            complain(f"{page.url}: {said.text}")

    def request(sent: Any) -> None:
        if not sent.url.startswith((someone.base, "data:", "blob:")):
            complain(f"{page.url} asks {sent.url}")

    page.on("console", message)
    page.on("pageerror", lambda error: complain(f"{page.url}: {error}"))
    page.on("request", request)


def _log_in(someone: Person, world: World, role: str | None) -> None:
    """With the session's cookie; the forms for it are walked through in test_log_in.py."""
    user = make_operator(role)
    someone.name = user.username
    cookie = Desk(user, world).client.cookies[settings.SESSION_COOKIE_NAME]
    someone.page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": someone.base}])
    someone.go("/admin/")


def make_operator(role: str | None = None) -> User:
    """Somebody who may do everything, or what the role may. The password is hashed as the server does, but quickly."""
    user = User.objects.create(
        username=f"{role or 'person'}-{uuid4().hex[:6]}",
        password=PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1000),
        is_staff=True,
        is_superuser=not role,
    )
    if role:
        roles_seed()
        user.groups.add(Group.objects.get(name=role))
    return user
