"""The plans that PostgreSQL follows in the hot calls: `python -m benchmarks.plans > docs/plans.md`.

`BENCH_ENTRIES` says how many ledger entries there are then. Each call is made as the application makes it, a few times
before, since a prepared statement gets the plan it keeps at its sixth execution.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count
from textwrap import wrap
from typing import Any, Final

import psycopg

from benchmarks.growth import CALLS, SIZES, grown, scripts
from benchmarks.instance import Instance, instance, settle
from benchmarks.pgbench import pgbench, usage_script
from benchmarks.volume import reservation_script

_WARM: Final = 7
_SETTINGS: Final = """
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_analyze = on;
SET auto_explain.log_timing = off;
SET client_min_messages = log;
SET timezone = 'UTC';
SET ROLE purser_app;
"""
_VARIABLE: Final = re.compile(r"(?<!:):([a-z]+)\b")
_STATEMENT: Final = re.compile(r"(.+?)(;|\\gset)\s*(?:\n|$)", re.DOTALL)
_COST: Final = re.compile(r"cost=\S+ rows=\S+ width=\S+\) \(")
_ENTITLEMENT: Final = """
SELECT * FROM metering_entitlement_v1(
  p_environment => '{environment}', p_config_version => {config_version}, p_by => 'external',
  p_reference => 'bench_' || lpad(:account, 5, '0'), p_metric => '{metric}', p_metric_key => 'bench_call',
  p_rule => NULL, p_now => now());
"""
_GRANT: Final = """
SELECT * FROM billing_credits_grant_v1(
  p_environment => '{environment}', p_account => customers_customer_find_v1('{environment}', 'external', 'bench_00042'),
  p_block => purser_uuid7(), p_kind => 'grant', p_credits => 1, p_priority => 0, p_effective_at => now(),
  p_expires_at => NULL, p_metric_keys => NULL, p_source => 'manual', p_price_paid => NULL, p_currency => NULL,
  p_metadata => '{{}}', p_source_type => 'manual', p_source_id => purser_uuid7(), p_actor => 'bench', p_reason => '',
  p_key => NULL, p_request => '', p_now => now());
"""
_INTRO: Final = """\
# Plans of the hot statements

Every statement of the hot calls as PostgreSQL {version} plans it over {entries:,} ledger entries of 10,000 accounts:
made by `python -m benchmarks.plans`, not by hand. `rows` and `loops` are what one call read. A function's statements
stand in the order in which they ended, its callers after it. Tables of a page or two (environments, metrics) are read
whole, whatever indexes they have.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """One statement and the plan it was executed with."""

    query: str
    steps: str


def main() -> None:
    with instance() as made:
        size = SIZES[-1]
        copy = grown(made, size)
        # Tables that have seen use: an empty one is read whole.
        pgbench(instance=copy, script=reservation_script(copy), clients=8, seconds=5)
        settle(copy.superuser_url)
        with psycopg.connect(copy.superuser_url, autocommit=True) as connection:
            version = connection.execute("SELECT split_part(version(), ' ', 2)").fetchone()
            print(_INTRO.format(version=version[0] if version else "", entries=size))
            connection.execute(_SETTINGS)
            for title, script in _calls(copy).items():
                print(f"## {title}\n")
                for plan in _plans(connection, script):
                    print(f"```sql\n{plan.query}\n```\n\n```text\n{plan.steps}\n```\n")


def _calls(copy: Instance) -> dict[str, str]:
    ledger = scripts(copy)
    return {
        "Usage: `metering_usage_record_v1`": usage_script(instance=copy),
        "Entitlement: `metering_entitlement_v1`": _ENTITLEMENT.format(**copy.facts),
        "Reserve and commit: `metering_reserve_v1`, `metering_reservation_commit_v1`": reservation_script(
            copy
        ),
        "Grant: `billing_credits_grant_v1`": _GRANT.format(**copy.facts),
        **{f"{name.capitalize()}, in the ledger's growth": ledger[name] for name in CALLS},
    }


def _plans(connection: psycopg.Connection[Any], script: str) -> list[Plan]:
    keys = count(1)
    for _ in range(_WARM):
        _run(connection, script, next(keys))
    heard: list[str] = []
    connection.add_notice_handler(handler := lambda notice: heard.append(notice.message_primary or ""))
    _run(connection, script, next(keys))
    connection.remove_notice_handler(handler)
    return [_plan(message) for message in heard if " plan:\n" in message]


def _run(connection: psycopg.Connection[Any], script: str, key: int) -> None:
    """As pgbench would, with variables in the place of parameters."""
    values = {"account": "42", "key": f"{len(script)}{key:06}"}
    text = "\n".join(line for line in script.splitlines() if not line.startswith("\\set"))
    for statement, end in _STATEMENT.findall(text):
        filled, parameters = _filled(statement, values)
        cursor = psycopg.RawCursor(connection)
        cursor.execute(filled, parameters, prepare=True)
        if end == "\\gset" and cursor.description:
            row = cursor.fetchone() or ()
            values |= {column.name: value for column, value in zip(cursor.description, row, strict=True)}


def _filled(statement: str, values: dict[str, str]) -> tuple[str, list[str]]:
    names: list[str] = []

    def place(found: re.Match[str]) -> str:
        names.append(found[1])
        return f"${len(names)}"

    return _VARIABLE.sub(place, statement), [values[name] for name in names]


def _plan(message: str) -> Plan:
    """A plan begins with the first line that tells a cost; what precedes it is the statement."""
    lines = [line for line in message.splitlines()[1:] if not line.startswith("Query Parameters")]
    first = next(place for place, line in enumerate(lines) if "(cost=" in line)
    query = " ".join("\n".join(lines[:first]).removeprefix("Query Text: ").split())
    return Plan("\n".join(wrap(query, 120)), _COST.sub("", "\n".join(lines[first:])))


if __name__ == "__main__":
    main()
