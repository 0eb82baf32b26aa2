"""`house`: a Purser whose processes may be killed, one for all these tests of a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billing.services.verification import environments_all, ledger_verify
from tests.conftest import Character, make_character
from tests.faults.deeds import DEEDS, Case, Deed, catalogue_make
from tests.faults.failpoints import COMMIT, TABLES, Failpoints
from tests.faults.house import Backend, House


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    house = House()
    try:
        house.open()
        yield house
    finally:
        house.close()


@pytest.fixture(scope="session")
def _failpoints_installed(house: House) -> None:
    with house.superuser() as superuser:
        Failpoints(superuser).install()


@pytest.fixture
def failpoints(house: House, _failpoints_installed: None) -> Iterator[Failpoints]:
    with house.superuser() as superuser:
        points = Failpoints(superuser)
        yield points
        points.disarm()


@pytest.fixture(scope="session")
def tenant(house: House) -> Character:
    with house.looking_inside():
        return make_character("Acme")


@pytest.fixture
def web(house: House) -> House:
    """A web that is up; the next test finds it up too, unless this one kills it."""
    house.web_up()
    return house


@pytest.fixture
def backend(house: House, tenant: Character, _catalogue: None) -> Backend:
    """The tenant's backend; the web may be down."""
    return Backend(house.port, tenant.test.secret)


@pytest.fixture(scope="session")
def _catalogue(house: House, tenant: Character) -> None:
    house.web_up()
    catalogue_make(Backend(house.port, tenant.test.secret))


@pytest.fixture(scope="session")
def afterwards(house: House, tenant: Character, _catalogue: None) -> dict[str, Any]:
    """By the deed's name: how a customer looks to whom it was done, undisturbed."""
    looks = {}
    house.web_up()
    for deed in DEEDS:
        case = Case(deed=deed, backend=Backend(house.port, tenant.test.secret))
        case.prepare()
        assert case.send().status < 300, deed.name
        looks[deed.name] = case.looks()
    return looks


@pytest.fixture(scope="session")
def passing(
    house: House, tenant: Character, _failpoints_installed: None, _catalogue: None
) -> dict[str, list[Deed]]:
    """By the point's name: the deeds on whose way it lies."""
    passing: dict[str, list[Deed]] = {}
    house.web_up()
    with house.superuser() as superuser:
        points = Failpoints(superuser)
        for deed in DEEDS:
            case = Case(deed=deed, backend=Backend(house.port, tenant.test.secret))
            case.prepare()
            with points.armed(f"see {deed.name}", COMMIT, *TABLES):
                case.send()
            for point in points.seen(deed.name):
                passing.setdefault(point, []).append(deed)
    return passing


@pytest.fixture
def in_order(house: House, _failpoints_installed: None) -> Iterator[None]:
    """After the test every invariant of the ledger holds, in every environment."""
    yield
    with house.looking_inside():
        for environment_id in environments_all():
            done = ledger_verify(environment_id=environment_id)
            assert done.ok, done.findings
