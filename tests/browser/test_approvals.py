"""Two people at two browsers: one asks for what is above the limit, the other looks at both previews and decides."""

from __future__ import annotations

import pytest

from config.roles import roles_seed
from customers.kernel.database import environment_scope
from customers.models import Approval, ApprovalLimit
from tests.browser.test_looks import _NAMELESS
from tests.making import balance, give, make_metric, use

REASON = "Nobody else is awake, and the launch is at six"


@pytest.fixture
def limited(acme, api):
    """Superusers have the owners' limit."""
    roles_seed()
    make_metric(api)
    give(api, 100_000, to="brightline", reason="Welcome")
    with environment_scope(acme.test.id):
        ApprovalLimit.objects.create(
            environment_id=acme.test.id, role="owner", deed="credits.grant", amount=500
        )
    return acme.test


def fill(somebody, amount, reason):
    somebody.find("brightline")
    dialog = somebody.open_dialog("Grant")
    dialog.get_by_label("Credits").fill(amount)
    dialog.get_by_label("Reason").fill(reason)
    return dialog


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_ask_look_and_approve(person, limited, api, width, theme):
    maker = person(limited, width=width, theme=theme)
    dialog = fill(maker, "2500", "Outage of Tuesday")
    dialog.get_by_text("above your limit of 500 credits").wait_for()
    maker.keep(f"approval-ask-{width}-{theme}", full_page=False)
    assert maker.page.evaluate(_NAMELESS) == []
    dialog.get_by_role("button", name="Ask for approval").dblclick()
    maker.page.get_by_text("Asked for approval. Nothing has been done yet.").wait_for()
    page = maker.page.url.removeprefix(maker.base)
    assert balance(api, of="brightline")["balance"] == 100_000
    assert use(api, 30, by="brightline").status == 202

    checker = person(limited, width=width, theme=theme)
    checker.page.locator(".p-tile", has_text="Waiting for approval").click()
    checker.keep(f"approval-queue-{width}-{theme}")
    checker.page.locator("#result_list a").first.click()
    checker.page.get_by_text("When it was asked for").wait_for()
    assert checker.page.url.removeprefix(checker.base) == page
    checker.keep(f"approval-page-{width}-{theme}")
    assert checker.page.evaluate(_NAMELESS) == []
    deciding = checker.open_dialog("Approve")
    deciding.get_by_label("Reason").fill("Saw the incident")
    deciding.get_by_text("2,500 credits become a new block.").wait_for()
    checker.keep(f"approval-approve-{width}-{theme}", full_page=False)
    deciding.get_by_role("button", name="Approve and do it").dblclick()
    checker.page.get_by_text("Approved and done.").wait_for()
    checker.keep(f"approval-approved-{width}-{theme}")
    assert balance(api, of="brightline")["balance"] == 2_570_000

    checker.go("/admin/customers/approval/limits/")
    checker.keep(f"approval-limits-{width}-{theme}")


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (360, "dark")])
def test_break_the_glass(person, limited, api, width, theme):
    owner = person(limited, width=width, theme=theme)
    dialog = fill(owner, "2500", REASON)
    box = dialog.get_by_role("checkbox", name="Break the glass")
    box.check()
    dialog.get_by_role("button", name="Break the glass").wait_for()
    assert box.is_checked()
    owner.keep(f"approval-glass-{width}-{theme}", full_page=False)
    dialog.get_by_role("button", name="Break the glass").click()
    owner.page.get_by_text("Done alone.").wait_for()

    assert balance(api, of="brightline")["balance"] == 2_600_000
    with environment_scope(limited.id):
        assert Approval.objects.get().is_break_glass
    owner.go("/admin/")
    owner.page.get_by_text("Break-glass").first.wait_for()
    owner.keep(f"approval-glass-home-{width}-{theme}")
