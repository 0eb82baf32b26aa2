"""Files as they come in: separators, marks, quotes; and what nobody should send."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from customers.kernel.database import environment_scope
from customers.models import Customer, ImportBatch
from tests.conftest import Api, Character
from tests.imports.filing import csv_of, rows, send, start, upload

WHO = {"external_id": "who"}


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        (b"who,name\nada,Ada\n", ","),
        (b"who;name\nada;Ada\n", ";"),
        (b"who\tname\nada\tAda", "\t"),
        (b"\xef\xbb\xbfwho,name\r\nada,Ada\r\n", ","),
        (b'"who","name"\r"ada","Ada"\r', ","),
        (b'who;"name, in full"\nada;Ada\n\n;\n', ";"),
    ],
)
def test_files_as_spreadsheets_write_them(api: Api, content: bytes, delimiter: str) -> None:
    batch = upload(api, content, mapping=WHO)
    assert (batch["rows"], batch["columns"][0]) == (1, "who")
    assert len(batch["columns"]) == 2
    assert batch["expected"]["made"] == 1


def test_cells_hold_separators_quotes_and_line_breaks(api: Api, acme: Character) -> None:
    content = 'who,name,billing_address\nada,"Say ""hi"", Ada","Street 1\nTown"\nbob,Böb ☃,\n'.encode()
    start(api, upload(api, content, mapping={**WHO, "name": "name", "billing_address": "billing_address"}))
    with environment_scope(acme.test.id):
        found = Customer.objects.order_by("id").values_list("name", "billing_address")
        assert list(found) == [('Say "hi", Ada', "Street 1\nTown"), ("Böb ☃", None)]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "The file is empty: its first line names the columns."),
        (b"\n \n", "The file is empty: its first line names the columns."),
        (b"who,name\n", "There is no row beneath the line that names the columns."),
        (b"who,name\nada,Ad\xe4\n", "Line 2 is not UTF-8. Save the file as CSV UTF-8."),
        ("who,name\nada,Ada\n".encode("utf-16"), "Line 1 is not UTF-8. Save the file as CSV UTF-8."),
        (
            b'who,name\nada,"Ada\nbob,Bob\n',
            "Line 3: a quote was opened and never closed.",
        ),
        (
            b'who,name\nada,"Ada" L\n',
            'Line 2: something stands behind a closing quote; a quote inside a cell is written twice, "".',
        ),
        (
            b'who,name\nada,"' + b"x" * 200_000 + b'"\n',
            "Line 2: a cell has no end: is a closing quote missing.",
        ),
        (b",".join([b"x"] * 101) + b"\n1\n", "The first line names more than 100 columns."),
    ],
)
def test_a_file_that_leaves_rows_in_doubt_is_refused_whole(
    api: Api, acme: Character, content: bytes, told: str
) -> None:
    answer = send(api, content, mapping=WHO) if content else empty(api)
    assert answer.refusal()[0] == 422, answer
    if content:
        assert (answer["code"], answer["detail"]) == ("import-unreadable", told)
    with environment_scope(acme.test.id):
        assert ImportBatch.objects.count() == 0


def empty(api: Api) -> Any:
    return api.send("POST", "/v1/imports?kind=customers", b"", content_type="text/csv")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ada\x00,Ada,,", "Holds a NUL character."),
        ("ada,Ada,,,,x", "Has 6 cells, where the first line names 4 columns."),
        ("ada", "Has 1 cells, where the first line names 4 columns."),
        (f"ada,{'x' * 20_000},,", "Has a cell of more than 16,384 characters."),
        (f"{'x' * 256},Ada,,", "Must be 1 to 255 characters."),
        (f"ada,{'x' * 201},,", "Must be 1 to 200 characters."),
        (",Ada,,", "Give external_id or id."),
        ('ada,Ada,{]",', None),
        ("ada,Ada,[1],", "Must be a JSON object."),
        ('ada,Ada,"{""a"": NaN}",', "Must be JSON."),
        ('ada,Ada,"{""a"": 1e999999}",', "Must be JSON."),
        (f'ada,Ada,"{{""a"": {"9" * 5000}}}",', "Must be JSON."),
        ('ada,Ada,"{""a"": 0.12345678901234567890123}",', None),
        ('ada,Ada,"{""a"": ""\\u0000""}",', "Must not contain NUL characters."),
        ('ada,Ada,"{""a"": ""\\ud800""}",', "Must not contain half surrogate pairs."),
        (f'ada,Ada,"{"[" * 5000}",', "Must be JSON."),
        ("ada,Ada,,1e400", "Must be at most 1000000000000000."),
        ("ada,Ada,,1e300", "Must be at most 1000000000000000."),
        ("ada,Ada,,NaN", "Must be a number such as 1250 or 0.5, without thousands separators."),
        ("ada,Ada,,1_0", "Must be a number such as 1250 or 0.5, without thousands separators."),
        ("ada,Ada,,0.00001", "Must be a percentage from 0 to 100, with at most 4 decimals."),
    ],
)
def test_a_row_that_cannot_be_is_refused_alone(
    api: Api, acme: Character, line: str, told: str | None
) -> None:
    # given a bad row between two good ones
    file = csv_of("external_id,name,metadata,tax_rate", "bob,Bob,,", line, "eve,Eve,,7.5")
    # when
    batch = start(api, upload(api, file))
    # then
    assert (batch["outcome"]["made"], batch["outcome"]["refused"]) == (2, 1)
    (bad,) = rows(api, batch, "&outcome=refused")
    assert bad["row"] == 2
    assert told is None or [error["message"] for error in bad["errors"]] == [told]
    with environment_scope(acme.test.id):
        assert set(Customer.objects.values_list("external_id", flat=True)) == {"bob", "eve"}


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        ("1e400", "Must be at most 1000000000000000."),
        ("9" * 400, "Must be a number such as 1250 or 0.5, without thousands separators."),
        ("1,000.5", "Must be a number such as 1250 or 0.5, without thousands separators."),
        ("0.1234", "Has more than three decimals: a millicredit is the smallest amount."),
        ("1.0000000000000000000000000000000001", "Must have at most 10 decimals."),
        ("0.1e-30", "Must have at most 10 decimals."),
        ("1000000000001", "Must be at most 1000000000000 credits."),
        ("0", "Must be above 0."),
        ("-1", "Must be above 0."),
        ("=1+1", "Must be a number such as 1250 or 0.5, without thousands separators."),
        ("inf", "Must be a number such as 1250 or 0.5, without thousands separators."),
        ("٣", "Must be a number such as 1250 or 0.5, without thousands separators."),
    ],
)
def test_an_amount_that_is_none_is_refused(api: Api, amount: str, told: str) -> None:
    assert api.post("/v1/customers", {"external_id": "ada"}).status == 201
    batch = upload(
        api, csv_of("customer,credits", f'ada,"{amount}"'), kind="grants", constants={"reason": "Opening"}
    )
    (row,) = rows(api, batch)
    assert [error["message"] for error in row["errors"]] == [told]


def test_formulas_are_text_here_and_guarded_texts_come_home(api: Api, acme: Character) -> None:
    formula = '=HYPERLINK("http://evil")'
    start(
        api,
        upload(
            api, csv_of("external_id,name", f'ada,"{formula.replace(chr(34), chr(34) * 2)}"', "bob,'=1+1")
        ),
    )
    with environment_scope(acme.test.id):
        found = dict(Customer.objects.values_list("external_id", "name"))
    assert found == {"ada": formula, "bob": "=1+1"}


def test_bounds_of_a_file(api: Api) -> None:
    with override_settings(IMPORT_MAX_ROWS=2):
        assert send(api, csv_of("external_id", "a", "b", "c")).refusal() == (413, "import-too-large")
        assert send(api, csv_of("external_id", "a", "b")).status == 201
    with override_settings(IMPORT_MAX_BYTES=20):
        assert send(api, csv_of("external_id", "a" * 20)).refusal() == (413, "import-too-large")


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"kind": "invoices"}, "kind"),
        ({"kind": ""}, "kind"),
        ({"mapping": {"external_id": "elsewhere"}}, "mapping.external_id"),
        ({"mapping": {"colour": "who"}}, "mapping.colour"),
        ({"mapping": {}}, "mapping.external_id"),
        ({"mapping": WHO, "constants": {"tax_rate": "much"}}, "constants.tax_rate"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused_and_nothing_kept(
    api: Api, acme: Character, more: dict[str, Any], field: str
) -> None:
    answer = send(api, csv_of("who", "ada"), **more)
    assert answer.refusal() == (422, "validation-failed")
    assert field in [error["field"] for error in answer["errors"]]
    with environment_scope(acme.test.id):
        assert ImportBatch.objects.count() == 0


@pytest.mark.parametrize("mapping", ["{", "[]", '{"external_id": 1}', "1"])
def test_a_mapping_that_is_no_object_of_texts_is_refused(api: Api, mapping: str) -> None:
    answer = api.post(
        f"/v1/imports?kind=customers&mapping={mapping}", csv_of("who", "ada"), content_type="text/csv"
    )
    assert answer.refusal() == (422, "validation-failed")


def test_a_body_of_another_type_is_refused(api: Api) -> None:
    assert api.post("/v1/imports", {"kind": "customers"}).refusal() == (415, "unsupported-media-type")


def test_a_key_imports_what_its_scopes_allow(api: Api) -> None:
    def key(scope: str) -> Api:
        return Api(api.post("/v1/api-keys", {"name": scope, "scopes": [scope, "customers:read"]})["secret"])

    mine, other = key("customers:write"), key("usage:write")
    batch = upload(mine, csv_of("external_id", "ada"))
    assert send(other, csv_of("external_id", "ada")).refusal() == (403, "scope-missing")
    assert send(mine, csv_of("a", "b"), kind="grants").refusal() == (403, "scope-missing")
    assert other.post(f"/v1/imports/{batch['id']}/start").refusal() == (403, "scope-missing")
    grants = upload(
        api,
        csv_of("customer,credits", "ada,1"),
        kind="grants",
        constants={"reason": "x"},
    )
    assert mine.get(f"/v1/imports/{grants['id']}").refusal() == (403, "scope-missing")
    assert [each["id"] for each in mine.get("/v1/imports")["data"]] == [batch["id"]]
