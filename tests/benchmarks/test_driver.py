"""The benchmark's own parts work; how fast anything is, no test says."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from benchmarks.cases import CASES
from benchmarks.charts import chart
from benchmarks.cpu import tree_seconds
from benchmarks.load import drive, messages
from benchmarks.report import result, text
from benchmarks.requests import Request, empty, usage
from benchmarks.rounds import Sample, interleaved, middle
from config.local.programs import web_arguments


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The empty view, served as the application is."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = int(probe.getsockname()[1])
    arguments = web_arguments(port=free, application="benchmarks.empty.wsgi:application", workers=1)
    server = subprocess.Popen([sys.executable, "-m", *arguments])
    deadline = time.monotonic() + 30
    while not _answers(free):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield free
    server.terminate()
    server.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_second_of_load_has_only_right_answers(port: int) -> None:
    found = drive(port=port, request=empty(), connections=4, seconds=1)

    assert found["operations"] > 0
    assert found["errors"] == 0
    assert found["p50_ms"] <= found["p99_ms"]


def test_wrong_answers_are_counted_and_shown(port: int) -> None:
    nowhere = Request(method="GET", path="/nowhere", expected_status=200)

    found = drive(port=port, request=nowhere, connections=1, seconds=0.3)

    assert found["errors"] == found["operations"] > 0
    assert found["examples"][0]


def test_every_request_has_a_key_of_its_own_and_a_true_length() -> None:
    sent = [
        message for message, _ in zip(messages(usage(secret="sk_x", customers=3)), range(50), strict=False)
    ]

    assert len(set(sent)) == 50
    for message in sent:
        head, _, body = message.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head


def test_alternatives_take_turns_and_the_order_turns_round() -> None:
    called: list[str] = []

    def alternative(name: str, per_second: float) -> Sample:
        called.append(name)
        return Sample(per_second=per_second + len(called))

    samples = interleaved(
        {"a": lambda: alternative("a", 10), "b": lambda: alternative("b", 20)}, rounds=3, say=lambda _: None
    )

    assert called == ["a", "b", "b", "a", "a", "b"]
    assert middle(samples["a"]) == {"per_second": 14, "errors": 0} or middle(samples["a"]) == {
        "per_second": 14
    }


def test_a_missed_aim_is_said() -> None:
    figures = {
        name: {"per_second": 10.0, "p99_ms": 1.0, "server_us": 1.0}
        for name in ("purser", "empty view", "naive", "purser, crowded", "empty view, crowded")
    }

    found = result(
        case=CASES["entitlement"], figures=figures | {"empty view": {"per_second": 100.0, "p99_ms": 1.0}}
    )

    assert found["aims"][0]["met"] is False
    assert "0.10 (aim ≥ 0.5, MISSED)" in text(name="entitlement", found=found)


def test_processor_time_of_ended_children_stays() -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(3 * 10**6))'])"
    busy = f"{child}; print(1, flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()

    assert tree_seconds(root=process.pid) > 0.01

    process.communicate(b"\n")


def test_a_chart_shows_every_alternative_the_fastest_first() -> None:
    # given
    found = {
        "title": "POST <fast>",
        "alternatives": {
            "slow": {"per_second": 250.0, "server_us": 30.0},
            "quick": {"per_second": 1000.0, "server_us": 12.4, "postgres_us": 60.0},
        },
    }
    # when
    drawn = ElementTree.fromstring(chart(found))  # noqa: S314 - our own
    # then
    texts = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[:-1] == ["POST <fast>", "quick", "1,000", "12 + 60 µs", "slow", "250", "30 µs"]
    assert [each.get("width") for each in drawn.iter("{http://www.w3.org/2000/svg}rect")] == ["290", "72"]
