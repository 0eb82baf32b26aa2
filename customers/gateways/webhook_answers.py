"""Reads an HTTP/1.1 answer as it comes in: its status, when to try again, the beginning of its body.

It is read leniently, since nothing is decided by it but whether the message was taken; a connection is used again only
when the answer's end is beyond doubt and nothing came after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_HEAD_MOST: Final = 65536
_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_HEADER: Final = re.compile(
    rb"^(content-length|transfer-encoding|connection|retry-after)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r?$",
    re.IGNORECASE | re.MULTILINE,
)
_CHUNK: Final = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[^\r\n]*\r?\n")
_NO_BODY: Final = frozenset({204, 205, 304})


class AnswerError(Exception):
    """What came is not an HTTP answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`is_whole`: all of it was read, and the connection can carry another request."""

    status: int
    retry_after: str | None
    body: bytes
    is_whole: bool


def answer_read(receive: Callable[[], bytes], *, most: int) -> Answer:
    """The final answer, with up to `most` bytes of its body. `receive` returns what comes next, b"" at the end."""
    came = receive()
    if not came:
        raise ConnectionResetError("the connection was closed without an answer")
    while True:
        came, head_end = _with_head(came, receive)
        status = _STATUS.match(came)
        if status is None:
            raise AnswerError("no HTTP answer")
        if status[2][:1] != b"1" or status[2] == b"101":
            break
        # 100, 103 and the like announce another one.
        came = came[head_end:]
    headers = {name.lower(): value for name, value in _HEADER.findall(came, status.end(), head_end)}
    body, is_whole = _body(int(status[2]), headers, came[head_end:], receive, most)
    asked = headers.get(b"retry-after")
    return Answer(
        status=int(status[2]),
        retry_after=None if asked is None else asked.decode("latin-1"),
        body=body,
        is_whole=is_whole and _stays_open(status[1] == b"1", headers),
    )


def _with_head(came: bytes, receive: Callable[[], bytes]) -> tuple[bytes, int]:
    """Enough bytes to hold an answer's head, and where that ends."""
    while (end := _HEAD_END.search(came)) is None:
        if len(came) > _HEAD_MOST:
            raise AnswerError("the answer's head does not end")
        more = receive()
        if not more:
            raise AnswerError("the connection was closed within the answer's head")
        came += more
    return came, end.end()


def _stays_open(is_1_1: bool, headers: dict[bytes, bytes]) -> bool:
    wish = headers.get(b"connection", b"").lower()
    return b"close" not in wish and (is_1_1 or b"keep-alive" in wish)


def _body(
    status: int, headers: dict[bytes, bytes], came: bytes, receive: Callable[[], bytes], most: int
) -> tuple[bytes, bool]:
    length, coding = headers.get(b"content-length"), headers.get(b"transfer-encoding", b"").lower()
    if status in _NO_BODY or status == 101:
        return b"", status != 101 and not came
    if coding.endswith(b"chunked"):
        return _chunks(came, receive, most)
    if coding or length is None or not length.isdigit() or len(length) > 15:
        # Its end is the connection's.
        return _until(came, receive, most)[:most], False
    wanted = int(length)
    came = _until(came, receive, min(wanted, most))
    return came[: min(wanted, most)], len(came) == wanted


def _until(came: bytes, receive: Callable[[], bytes], wanted: int) -> bytes:
    """At least so many bytes, unless there are no more."""
    while len(came) < wanted:
        more = receive()
        if not more:
            break
        came += more
    return came


def _chunks(came: bytes, receive: Callable[[], bytes], most: int) -> tuple[bytes, bool]:
    body = b""
    while len(body) < most:
        while (size := _CHUNK.match(came)) is None:
            more = receive() if len(came) < _HEAD_MOST else b""
            if not more:
                return body, False
            came += more
        length = int(size[1], 16)
        if length == 0:
            # With a trailer the connection goes: nobody sends any.
            return body, _until(came[size.end() :], receive, 2) == b"\r\n"
        came = _until(came[size.end() :], receive, min(length, most) + 2)
        body += came[: min(length, most)]
        if came[length : length + 2] != b"\r\n":
            return body[:most], False
        came = came[length + 2 :]
    return body[:most], False
