"""Requests to a server over the loopback, by the load generator, with everyone's processor time."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict

from benchmarks.cpu import tree_seconds
from benchmarks.instance import Instance, module
from benchmarks.requests import Request
from benchmarks.rounds import Sample
from config.local.paths import REPOSITORY


def http(*, instance: Instance, server: str, request: Request, connections: int, seconds: float) -> Sample:
    target = instance.servers[server]
    order = {"port": target.port, "request": asdict(request), "connections": connections, "seconds": seconds}
    before = _busy(instance, server)
    done = subprocess.run(
        module("benchmarks.load"),
        input=json.dumps(order),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the load generator failed:\n{done.stderr}")
    busy = [after - start for after, start in zip(_busy(instance, server), before, strict=True)]
    found = json.loads(done.stdout)
    operations = found.pop("operations")
    server_us, postgres_us = (used / max(operations, 1) * 1e6 for used in busy)
    return Sample(server_us=server_us, postgres_us=postgres_us, **found)


def _busy(instance: Instance, server: str) -> tuple[float, float]:
    return tree_seconds(root=instance.servers[server].process.pid), tree_seconds(root=instance.postgres_pid)
