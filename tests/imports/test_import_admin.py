"""Importing at a desk: upload, map, dry run, start, watch, download what was refused, reverse."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from customers.kernel.database import environment_scope
from customers.models import AuditRecord, Customer, ImportBatch
from tests.conftest import Api, Character
from tests.desk import Desk, somebody
from tests.imports.filing import csv_of, upload, work
from tests.making import balance, give

LIST = "/admin/customers/importbatch/"
ADD = f"{LIST}add/"
FILE = csv_of("Who,Full name,E-mail", "ada,Ada,ada@example.com", "bob,=1+1,", "eve,Eve,no address")


@pytest.fixture
def desk(acme: Character) -> Desk:
    return Desk(somebody("operator"), acme.test)


def uploaded(desk: Desk, content: bytes, *, kind: str = "customers", name: str = "people.csv") -> Any:
    return desk.client.post(ADD, {"kind": kind, "file": SimpleUploadedFile(name, content)})


def the_import(acme: Character) -> ImportBatch:
    with environment_scope(acme.test.id):
        return ImportBatch.objects.select_related("job").latest("id")


def page_of(batch: ImportBatch, ending: str = "change/") -> str:
    return f"{LIST}{batch.public_id}/{ending}"


def mapped(**columns: str) -> dict[str, str]:
    return {f"mapping.{field}_0": column for field, column in columns.items()}


def test_the_whole_way(desk: Desk, acme: Character, api: Api) -> None:
    # upload: the columns are guessed where they can be
    answer = uploaded(desk, FILE)
    batch = the_import(acme)
    assert (answer.status_code, answer["Location"]) == (302, page_of(batch, "map/"))
    assert batch.mapping == {"email": "E-mail"}
    form = desk.open(page_of(batch, "map/"))
    assert 'aria-label="External id: column"' in form
    assert "Which column is what" in form
    # a mapping without what is needed is refused at its field
    refused = desk.send(page_of(batch, "map/"), mapped(name="Full name"))
    assert refused.status_code == 422
    assert "Map a column to external_id or id." in refused.content.decode()
    # the dry run
    done = desk.send(page_of(batch, "map/"), mapped(external_id="Who", name="Full name", email="E-mail"))
    assert (done.status_code, done["Location"]) == (302, page_of(batch))
    shown = desk.open(page_of(batch))
    assert "Rows that would be refused" in shown
    assert "Must be an email address." in shown
    with environment_scope(acme.test.id):
        assert Customer.objects.count() == 0
    # start
    assert "2 made, 1 refused" in desk.open(page_of(batch, "start/"))
    assert desk.send(page_of(batch, "start/"), {}).status_code == 302
    with environment_scope(acme.test.id):
        assert set(Customer.objects.values_list("external_id", "name")) == {("ada", "Ada"), ("bob", "=1+1")}
    assert "Rows that were refused" in desk.open(page_of(batch))
    # reverse, with a reason
    give(api, 1_000, to="bob")
    assert desk.send(page_of(batch, "reverse/"), {"reason": ""}).status_code == 422
    assert desk.send(page_of(batch, "reverse/"), {"reason": "the wrong list"}).status_code == 302
    undone = desk.open(page_of(batch))
    assert "What stayed, and why" in undone
    assert "The customer has credits, owes some, or holds some." in undone
    with environment_scope(acme.test.id):
        assert list(Customer.objects.filter(deleted_at=None).values_list("external_id", flat=True)) == ["bob"]
        told = AuditRecord.objects.filter(object_type="import").order_by("id")
        assert list(told.values_list("action", flat=True)) == [
            "import.uploaded",
            "import.checked",
            "import.started",
            "import.reversed",
        ]
        assert {record.actor for record in told} == {f"user:{desk.user.username}"}


def test_refused_rows_are_downloaded_mended_and_sent_again(desk: Desk, acme: Character, api: Api) -> None:
    # given
    batch = upload(api, csv_of("external_id,name,email", "ada,Ada,", "=bob,'=B,nowhere"))
    # when
    answer = desk.client.get(f"{LIST}{batch['id']}/rows/expected-refused.csv")
    text = answer.getvalue().decode()
    # then the cells come first, guarded against spreadsheets, with why behind them
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["external_id"], row["email"], row["import_row"]) == ("'=bob", "nowhere", "2")
    assert row["import_errors"] == "email: Must be an email address."
    # and, mended, they come in as they were
    again = upload(api, text.replace("nowhere", "bob@example.com").encode())
    assert again["expected"]["made"] == 1
    assert api.post(f"/v1/imports/{again['id']}/start").status == 200
    with environment_scope(acme.test.id):
        assert Customer.objects.get().external_id == "=bob"


def test_a_long_import_is_watched_and_stopped(desk: Desk, acme: Character, api: Api) -> None:
    # given
    made = upload(api, csv_of("external_id", *(f"user_{number}" for number in range(60))))
    batch = the_import(acme)
    page = desk.open(page_of(batch))
    assert f'hx-get="{page_of(batch, "progress/")}"' in page
    assert "0 of 60 rows" in desk.open(page_of(batch, "progress/"))
    # when it is paused, and goes on
    assert desk.send(page_of(batch, "pause/"), {"reason": "month end"}).status_code == 302
    assert 'hx-get="/admin/customers/importbatch' not in desk.open(page_of(batch))
    assert desk.send(page_of(batch, "resume/"), {"reason": "done"}).status_code == 302
    work(acme, made)
    # then the page is loaded anew
    over = desk.client.get(page_of(batch, "progress/"))
    assert over["HX-Refresh"] == "true"
    assert "Start import" in desk.open(page_of(batch))


def test_a_file_that_cannot_be_read_says_why(desk: Desk, acme: Character) -> None:
    answer = uploaded(desk, b'who\n"ada')
    assert answer.status_code == 422
    assert "a quote was opened and never closed" in answer.content.decode()
    assert uploaded(desk, b"").status_code == 422
    with environment_scope(acme.test.id):
        assert ImportBatch.objects.count() == 0


def test_names_of_files_and_columns_are_only_text(desk: Desk, acme: Character) -> None:
    hostile = "<script>alert(1)</script>"
    uploaded(desk, csv_of(f"who,{hostile}", f"{hostile},x"), name=f"../{hostile}.csv")
    page = desk.open(page_of(the_import(acme)))
    assert hostile not in page
    assert hostile not in desk.open(page_of(the_import(acme), "map/"))


@pytest.mark.parametrize(
    ("role", "may"),
    [("viewer", False), ("support", False), ("operator", True), ("finance", True), ("owner", True)],
)
def test_who_may_import(acme: Character, api: Api, role: str, may: bool) -> None:
    upload(api, csv_of("external_id", "ada"))
    batch = the_import(acme)
    desk = Desk(somebody(role), acme.test)
    expected = 200 if may else 403
    for path in (LIST, ADD, page_of(batch), page_of(batch, "map/"), page_of(batch, "start/")):
        assert desk.client.get(path).status_code == expected, path
    for path in (page_of(batch, "rows/all.csv"), page_of(batch, "progress/")):
        assert desk.client.get(path).status_code == expected, path
    assert uploaded(desk, FILE).status_code == (302 if may else 403)


def test_rivals_see_nothing(desk: Desk, rival: Character) -> None:
    upload(Api(rival.test.secret), csv_of("external_id", "ada"))
    batch = the_import(rival)
    assert batch.public_id not in desk.open(LIST)
    for ending in ("change/", "map/", "start/", "reverse/", "progress/", "rows/all.csv"):
        assert desk.client.get(page_of(batch, ending)).status_code == 404, ending


def test_pages_stay_under_their_ceiling(desk: Desk, acme: Character, api: Api) -> None:
    file = csv_of("external_id,email", *(f"u_{number},x" for number in range(30)), "ada,")
    batch = [upload(api, file) for _ in range(12)][-1]
    assert desk.queries(LIST) <= 15
    assert desk.queries(page_of(the_import(acme))) <= 15
    assert api.post(f"/v1/imports/{batch['id']}/start").status == 200
    assert api.post(f"/v1/imports/{batch['id']}/reverse", {"reason": "x"}).status == 200
    assert desk.queries(page_of(the_import(acme))) <= 15


def test_nobody_grants_more_by_a_file_than_by_hand(acme: Character, api: Api) -> None:
    # given a file that grants a credit more than an operator may alone
    assert api.post("/v1/customers", {"external_id": "ada"}).status == 201
    file = csv_of("customer,credits", "ada,100000", "ada,1", "bob,1")
    upload(api, file, kind="grants", constants={"reason": "Opening balance"})
    batch = the_import(acme)
    operator, owner = (Desk(somebody(role), acme.test) for role in ("operator", "owner"))
    # when
    refused = operator.send(page_of(batch, "start/"), {})
    # then
    assert refused.status_code == 422
    assert "It moves 100,001 credits; you may move 100,000 alone." in refused.content.decode()
    assert balance(api, of="ada")["balance"] == 0
    # and an owner may, and only an owner takes it back
    assert owner.send(page_of(batch, "start/"), {}).status_code == 302
    assert balance(api, of="ada")["balance"] == 100_001_000
    assert operator.send(page_of(batch, "reverse/"), {"reason": "x"}).status_code == 422
    assert owner.send(page_of(batch, "reverse/"), {"reason": "x"}).status_code == 302
    assert balance(api, of="ada")["balance"] == 0


def test_what_turns_out_larger_than_its_dry_run_stops(acme: Character, api: Api) -> None:
    # given a file by whose dry run half of the credits have nobody to go to
    assert api.post("/v1/customers", {"external_id": "ada"}).status == 201
    lines = ("ada,100000", "bob,1")
    upload(api, csv_of("customer,credits", *lines), kind="grants", constants={"reason": "Opening balance"})
    batch = the_import(acme)
    # when they are there by the time it runs
    assert api.post("/v1/customers", {"external_id": "bob"}).status == 201
    assert Desk(somebody("operator"), acme.test).send(page_of(batch, "start/"), {}).status_code == 302
    # then nothing of that page is granted
    assert the_import(acme).state == "interrupted"
    assert [balance(api, of=who)["balance"] for who in ("ada", "bob")] == [0, 0]
    # and an owner goes on with it
    owner = Desk(somebody("owner"), acme.test)
    assert "Go on" in owner.open(page_of(batch))
    assert owner.send(page_of(batch, "start/"), {}).status_code == 302
    assert [balance(api, of=who)["balance"] for who in ("ada", "bob")] == [100_000_000, 1_000]
