"""What a receiver may answer, byte for byte, and whether its connection can carry another request."""

from __future__ import annotations

import pytest

from customers.gateways.webhook_answers import AnswerError, answer_read

MOST = 100
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def read(*pieces: bytes):
    coming = iter(pieces)
    return answer_read(lambda: next(coming, b""), most=MOST)


@pytest.mark.parametrize(
    ("answer", "status", "body", "is_whole"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 200\r\ncontent-length:2\r\n\r\nok", 200, b"ok", True),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, b"ok", True),
        (CHUNKED + b"2\r\nok\r\n3;x=y\r\n, I\r\n0\r\n\r\n", 200, b"ok, I", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 201, b"", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 OK\r\n\r\n", 204, b"", True),
        # Nobody knows what comes next on these.
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", True),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, b"until the end", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", 200, b"ok", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", 200, b"cut", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok", 200, b"ok", False),
        (CHUNKED + b"2\r\nok\r\n0\r\nMore: x\r\n\r\n", 200, b"ok", False),
        (CHUNKED + b"2\r\nok\r\nnonsense\r\n", 200, b"ok", False),
        (CHUNKED + b"5\r\nok", 200, b"ok", False),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", 101, b"", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b"x" * 500, 200, b"x" * MOST, True),
    ],
)  # fmt: skip
def test_an_answer_is_read_however_it_is_cut(answer, status, body, is_whole):
    for pieces in ((answer,), tuple(answer[index : index + 1] for index in range(len(answer)))):
        found = read(*pieces)
        assert (found.status, found.body) == (status, body)
        if pieces == (answer,):
            assert found.is_whole is is_whole


def test_what_comes_after_an_answer_is_never_read_as_part_of_it():
    found = read(b"HTTP/1.1 500 Oops\r\nRetry-After:  120 \r\nContent-Length: 3\r\n\r\nX: Retry-After: 9")

    assert (found.status, found.retry_after, found.body, found.is_whole) == (500, "120", b"X: ", False)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20000,
    ],
)
def test_what_is_no_answer_is_an_error(answer):
    with pytest.raises(AnswerError):
        read(answer)


def test_a_connection_that_just_ends_is_one_that_was_closed():
    with pytest.raises(ConnectionResetError):
        read()
