"""A person sets up a second factor, logs in with it, and logs in again without the phone."""

from __future__ import annotations

import pytest
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from customers.models import User
from tests.browser.conftest import PASSWORD


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 360)])
def test_a_second_factor_from_beginning_to_end(person, acme, theme, width):
    # given
    somebody = person(acme.test, theme=theme, width=width)
    page = somebody.page
    user = User.objects.filter(username__startswith="person-").order_by("-id")[0]
    somebody.go("/admin/customers/user/second-factor/")
    somebody.keep(f"second-factor-off-{theme}")
    # when it is set up
    page.get_by_role("link", name="Set it up").click()
    page.get_by_label("Code").wait_for()
    somebody.keep(f"second-factor-set-up-{theme}")
    device = TOTPDevice.objects.get(user=user)
    page.get_by_label("Code").fill(f"{totp(device.bin_key):06d}")
    page.get_by_role("button", name="Turn it on").click()
    page.get_by_role("link", name="I have them").wait_for()
    somebody.keep(f"second-factor-codes-{theme}")
    code = page.locator(".p-codes code").first.inner_text()
    # then a password alone is not enough, and a recovery code is
    page.context.clear_cookies()
    somebody.go("/admin/login/?next=/admin/customers/customer/")
    page.fill("[name=username]", user.username)
    page.fill("[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.get_by_label("Code").wait_for()
    somebody.keep(f"second-factor-check-{theme}")
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Go on").click()
    page.wait_for_url("**/admin/customers/customer/")
