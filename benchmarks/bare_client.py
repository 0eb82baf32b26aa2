"""What one process of Python posts with the standard library's client and nothing else: bodies from a file, over
keep-alive connections, a thread for each. `python -m benchmarks.bare_client PORT FILE THREADS` prints a JSON object.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from pathlib import Path
from threading import Thread

_HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": "Purser-Webhooks/1",
    "webhook-id": "msg_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "webhook-timestamp": "1775206860",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
}


def post(port: int, bodies: list[bytes]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for body in bodies:
        connection.request("POST", "/hook", body, _HEADERS)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the receiver answered {answer.status}")
    connection.close()


def main() -> None:
    port, count = int(sys.argv[1]), int(sys.argv[3])
    bodies = Path(sys.argv[2]).read_bytes().splitlines()
    threads = [Thread(target=post, args=(port, bodies[number::count])) for number in range(count)]
    began, busy = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, busy = time.perf_counter() - began, time.process_time() - busy
    print(json.dumps({"per_second": len(bodies) / took, "server_us": busy / len(bodies) * 1e6}))


if __name__ == "__main__":
    main()
