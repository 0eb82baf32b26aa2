"""Statements driven by pgbench: what PostgreSQL alone can do."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.cpu import tree_seconds
from benchmarks.instance import Instance
from benchmarks.requests import ACCOUNTS
from benchmarks.rounds import Sample
from config.local.processes import plain_environment

#: Connections are made, caches and plans are warm after this; only then processor time is counted.
_WARM_SECONDS: Final = 0.7
_TPS: Final = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
_FAILED: Final = re.compile(r"number of failed transactions: (\d+)")


def pgbench(*, instance: Instance, script: str, clients: int, seconds: float) -> Sample:
    """Transactions a second, and PostgreSQL's processor time for each."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "script.sql")
        path.write_text(script)
        process = subprocess.Popen(
            [
                *[str(instance.programs / "pgbench"), "-n", "-M", "prepared", "-f", str(path)],
                *["-c", str(clients), "-j", "1", "-T", str(round(seconds + 2 * _WARM_SECONDS))],
                instance.database_url,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=plain_environment() | {"PGOPTIONS": "-c role=purser_app -c timezone=UTC"},
        )
        time.sleep(_WARM_SECONDS)
        before, began = tree_seconds(root=instance.postgres_pid), time.perf_counter()
        time.sleep(seconds)
        busy, took = tree_seconds(root=instance.postgres_pid) - before, time.perf_counter() - began
        output, _ = process.communicate()
    found = _TPS.search(output)
    if process.returncode != 0 or found is None:
        raise RuntimeError(f"pgbench failed:\n{output}")
    failed = _FAILED.search(output)
    per_second = float(found[1])
    return Sample(
        per_second=per_second,
        postgres_us=busy / took / per_second * 1e6,
        errors=int(failed[1]) if failed else 0,
    )


def usage_script(*, instance: Instance, metric: str = "bench_call", customers: int = ACCOUNTS) -> str:
    """One `POST /v1/usage`, as the application hands it to the database.

    A colon in a text would begin a variable of pgbench's, quoted or not.
    """
    facts = instance.facts
    return f"""
\\set account random(0, {customers - 1})
\\set key random(1, 4000000000000000000)
SELECT * FROM metering_usage_record_v1(
  p_environment => '{facts["environment"]}', p_config_version => {facts["config_version"]}, p_by => 'external',
  p_reference => 'bench_' || lpad(:account, 5, '0'), p_new_customer => purser_uuid7(), p_event => purser_uuid7(),
  p_metric => '{facts["metric"]}', p_metric_key => '{metric}', p_rule => '{facts["rule"]}', p_scoped => false,
  p_priced_customer => NULL, p_priced_variant => NULL, p_dimension => '', p_value => '', p_cycle_units => NULL,
  p_cycle_charged => NULL, p_steady_from => NULL, p_steady_to => NULL, p_units => 1, p_cost => 1,
  p_key => :key,
  p_fingerprint => '\\x00112233445566778899aabbccddeeff', p_timestamp => NULL, p_properties => NULL,
  p_metadata => NULL, p_actor => 'key' || chr(58) || 'key_01k7x3s9c5ef6v8b2n4m6q8r0t',
  p_request => 'req_01k7x3s9c5ef6v8b2n4m6q8r0t', p_now => now());
"""
