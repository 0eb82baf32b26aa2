"""The door: a password, then an environment to look at."""

from __future__ import annotations

from tests.browser.conftest import PASSWORD, make_operator


def test_somebody_logs_in_and_chooses_an_environment(stranger, acme):
    # given
    somebody = stranger()
    page, operator = somebody.page, make_operator()
    # when
    somebody.go("/admin/login/")
    page.fill("[name=username]", operator.username)
    page.fill("[name=password]", PASSWORD)
    page.click("button[type=submit]")
    # then
    page.wait_for_url(f"{somebody.base}/admin/")
    # when
    somebody.go("/admin/environment/")
    page.locator(f"#content button[value='{acme.test.id}']").click()
    # then
    page.wait_for_url(f"{somebody.base}/admin/")
    assert acme.tenant.name in page.locator("body").inner_text()
