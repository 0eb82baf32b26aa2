"""An operator brings in customers from a file: upload, map, dry run, start, watch it, and take it back."""

from __future__ import annotations

from typing import Any

import pytest

from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import Customer, ImportBatch
from customers.services.jobs import job_run

HEADER = "Customer reference;Company;E-mail;When out of credits"


def people(count: int) -> bytes:
    lines = [
        f"user_{number};Company {number} Incorporated;billing@{number}.example.com;"
        for number in range(count)
    ]
    lines[2:2] = ["user_bad;A company without an address;nowhere;sometimes"]
    return "\n".join((HEADER, *lines)).encode()


def upload(somebody: Any, content: bytes) -> None:
    somebody.go("/admin/customers/importbatch/add/")
    file = {"name": "customers-of-old.csv", "mimeType": "text/csv", "buffer": content}
    somebody.page.set_input_files("input[type=file]", files=[file])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_a_file_of_customers(person, acme, width, theme):
    somebody = person(acme.test, width=width, theme=theme)
    page = somebody.page
    name = f"{width}-{theme}"

    # the file, and which column is what
    upload(somebody, people(40))
    somebody.keep(f"import-upload-{name}")
    page.get_by_role("button", name="Upload").click()
    page.wait_for_selector("text=Which column is what")
    assert page.get_by_label("E-mail: column").input_value() == "E-mail"
    page.get_by_label("External id: column").select_option("Customer reference")
    page.get_by_label("Legal name: column").select_option("Company")
    page.get_by_label("When credits run out: column").select_option("When out of credits")
    page.get_by_label("Time zone: for rows without one").fill("Europe/Berlin")
    somebody.keep(f"import-map-{name}")

    # the dry run
    page.get_by_role("button", name="Dry run").click()
    page.wait_for_selector("text=Rows that would be refused")
    somebody.keep(f"import-checked-{name}")

    # for good
    dialog = somebody.open_dialog("Start import")
    page.wait_for_timeout(300)
    somebody.keep(f"import-start-{name}", full_page=False)
    dialog.get_by_role("button", name="Start import").click()
    page.wait_for_selector("text=The first rows, and what they did")
    somebody.keep(f"import-done-{name}")
    with environment_scope(acme.test.id):
        assert Customer.objects.filter(timezone="Europe/Berlin").count() == 40

    # and back
    dialog = somebody.open_dialog("Reverse")
    dialog.get_by_label("Reason").fill("They belong to the other brand")
    dialog.get_by_role("button", name="Reverse import").click()
    page.wait_for_selector("text=They belong to the other brand")
    somebody.keep(f"import-reversed-{name}")
    with environment_scope(acme.test.id):
        assert Customer.objects.filter(deleted_at=None).count() == 0

    somebody.go("/admin/customers/importbatch/")
    somebody.keep(f"imports-{name}")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_progress_is_seen_while_it_grows(person, acme, theme):
    somebody = person(acme.test, theme=theme)
    page = somebody.page
    upload(somebody, people(150))
    page.get_by_role("button", name="Upload").click()
    page.get_by_label("External id: column").select_option("Customer reference")
    page.get_by_role("button", name="Dry run").click()
    bar = page.get_by_role("progressbar")
    bar.wait_for()
    assert bar.get_attribute("aria-valuenow") == "0"
    somebody.keep(f"import-progress-{theme}")

    # once a worker has done it, the page says so by itself
    with environment_scope(acme.test.id):
        job = ImportBatch.objects.get().job
    assert job is not None
    job_run(environment_id=acme.test.id, job_id=job.id, clock=system_now)
    page.wait_for_selector("text=Rows that would be refused")
    assert page.get_by_role("progressbar").count() == 0
