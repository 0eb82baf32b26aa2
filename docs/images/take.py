"""Takes the pictures of the README from a demo that runs: `python docs/images/take.py URL PASSWORD`.

Each wide, in light and in dark. Look at all of them before you commit one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).parent
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


def take(page: Any, base: str, suffix: str) -> None:
    def keep(name: str) -> None:
        page.wait_for_timeout(700)
        path = FOLDER / f"{name}{suffix}.png"
        page.screenshot(path=str(path))
        # A third of the size, and nobody sees it.
        few = Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(path, optimize=True)

    def open_customer(name: str) -> None:
        page.goto(f"{base}/admin/customers/customer/?q={name}")
        page.locator("#result_list a").first.click()
        page.wait_for_selector(".p-customer")

    page.goto(f"{base}/admin/")
    keep("home")
    open_customer("brightline")
    keep("customer")
    page.locator("[data-dialog]").filter(has_text="Grant").first.click()
    page.locator("dialog[open]").wait_for()
    page.fill("[name=credits_mc]", "250")
    page.fill("[name=reason]", "Goodwill for the outage of Tuesday")
    page.get_by_text("What will happen").wait_for()
    keep("grant")
    open_customer("brightline")
    page.get_by_role("link", name="Explain").first.click()
    page.wait_for_selector(".p-record")
    keep("explain")
    page.goto(f"{base}/admin/billing/invoice/")
    keep("invoices")
    page.get_by_role("link", name="INV-000004").first.click()
    page.wait_for_selector(".p-record")
    keep("invoice")


def main(base: str, password: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for theme, suffix in (("light", ""), ("dark", "-dark")):
            context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=theme)
            page = context.new_page()
            page.goto(f"{base}/admin/login/")
            page.fill("[name=username]", "admin")
            page.fill("[name=password]", password)
            page.click("button[type=submit]")
            page.wait_for_url(f"{base}/admin/")
            take(page, base, suffix)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:3])
