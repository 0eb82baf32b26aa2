"""Points at which the database can be made to stop, or to fail, in the middle of a call.

They are triggers of the superuser on the tables that calls write, so nothing of them is in the product. A point is
named after its table; `at the commit` is behind all that a transaction writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from tests.faults.house import wait_until

COMMIT: Final = "at the commit"
TABLES: Final = (
    "customers_idempotency_record",
    "customers_customer",
    "customers_outbox_event",
    "customers_audit_record",
    "billing_credit_account",
    "billing_credit_block",
    "billing_ledger_entry",
    "billing_hold",
    "billing_topup",
    "billing_conversion",
    "metering_usage_key",
    "metering_usage_event",
    "metering_cycle_counter",
    "metering_reservation",
    "metering_reservation_step",
    "billing_ledger_seal",
    "billing_ledger_seal_part",
)
#: Where a webhook that was sent is recorded; no call of the API comes here.
SENT: Final = "customers_webhook_attempt"
_GATE: Final = 7_700_77
_SETUP: Final = f"""
CREATE TABLE fault_armed (point text PRIMARY KEY, what text NOT NULL);
CREATE TABLE fault_seen (point text NOT NULL, occasion text NOT NULL);

CREATE FUNCTION fault_here() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  v_point text := coalesce(TG_ARGV[0], TG_TABLE_NAME);
  v_what text := (SELECT what FROM fault_armed WHERE point = v_point);
BEGIN
  IF v_what = 'wait' THEN
    PERFORM pg_advisory_xact_lock_shared({_GATE});
  ELSIF v_what = 'sleep' THEN
    PERFORM pg_sleep(30);
  ELSIF v_what ~ '^see ' THEN
    INSERT INTO fault_seen VALUES (v_point, substr(v_what, 5));
  ELSIF v_what IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = v_what, MESSAGE = 'fault at ' || v_point;
  END IF;
  RETURN NULL;
END $$;
"""


class Failpoints:
    def __init__(self, superuser: psycopg.Connection[Any]) -> None:
        self._superuser = superuser

    def install(self) -> None:
        self._superuser.execute(_SETUP)
        for table in (*TABLES, SENT):
            self._superuser.execute(
                f"CREATE TRIGGER zz_fault AFTER INSERT OR UPDATE ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION fault_here('{table}')"
            )
            self._superuser.execute(
                f"CREATE CONSTRAINT TRIGGER zz_fault_at_commit AFTER INSERT OR UPDATE ON {table} "
                f"DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fault_here('{COMMIT}')"
            )

    @contextmanager
    def armed(self, what: str, *points: str) -> Iterator[None]:
        """While this lasts the points do `what`: wait, sleep, or fail with that SQLSTATE."""
        for point in points:
            self._superuser.execute("INSERT INTO fault_armed VALUES (%s, %s)", (point, what))
        try:
            yield
        finally:
            self.disarm()

    def disarm(self) -> None:
        """Who waits goes on waiting until the gate opens."""
        self._superuser.execute("DELETE FROM fault_armed")

    def seen(self, occasion: str) -> set[str]:
        rows = self._superuser.execute(
            "SELECT DISTINCT point FROM fault_seen WHERE occasion = %s", (occasion,)
        )
        return {row[0] for row in rows}

    @contextmanager
    def gate_closed(self) -> Iterator[None]:
        self._superuser.execute("SELECT pg_advisory_lock(%s)", (_GATE,))
        try:
            yield
        finally:
            self.gate_open()

    def gate_open(self) -> None:
        self._superuser.execute("SELECT pg_advisory_unlock_all()")

    def waiting(self) -> list[int]:
        """The server processes that stand at a point."""
        rows = self._superuser.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s", (_GATE,)
        )
        return [row[0] for row in rows]

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self.waiting()) >= count, what=f"{count} calls stand at the point")

    def roll_back_waiting(self) -> None:
        """As when the server notices that its client is gone."""
        for pid in self.waiting():
            self._superuser.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    def wait_for_quiet(self) -> None:
        """Until nobody is in the middle of anything any more."""
        wait_until(self._is_quiet, what="the server's processes have finished")

    def _is_quiet(self) -> bool:
        busy = self._superuser.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND xact_start IS NOT NULL "
            "AND pid <> pg_backend_pid()"
        ).fetchone()
        return busy is not None and busy[0] == 0
