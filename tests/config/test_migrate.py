"""A database of another schema is refused in words, before anything is changed."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command


@pytest.fixture
def applied(superuser_sql):
    """Has migrations recorded as applied, and takes them back."""
    made = []

    def record(app: str, name: str) -> None:
        superuser_sql.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())", (app, name)
        )
        made.append((app, name))

    yield record
    for app, name in made:
        superuser_sql.execute("DELETE FROM django_migrations WHERE app = %s AND name = %s", (app, name))


def test_a_database_with_migrations_we_do_not_know_is_refused(applied):
    applied("metering", "0008_event_partitions")
    applied("billing", "0007_invoices")

    with pytest.raises(CommandError) as refusal:
        call_command("migrate", stdout=StringIO())

    said = str(refusal.value)
    assert "  billing.0007_invoices, metering.0008_event_partitions\n" in said
    assert "make run PURSER_HOME=" in said


def test_many_are_not_all_named(applied):
    for number in range(3, 8):
        applied("billing", f"000{number}_gone")

    with pytest.raises(
        CommandError, match=r"billing.0003_gone, billing.0004_gone, billing.0005_gone and 2 more\n"
    ):
        call_command("migrate", stdout=StringIO())


def test_what_other_packages_no_longer_ship_does_not_matter(applied):
    applied("axes", "0000_squashed_away")
    out = StringIO()

    call_command("migrate", "--plan", stdout=out)

    assert "No planned migration operations." in out.getvalue()
