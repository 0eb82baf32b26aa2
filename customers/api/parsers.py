"""Reads JSON bodies without ever making a binary float, and without a body that can hurt."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import IO, Any, Final, NoReturn

from django.conf import settings
from rest_framework.parsers import BaseParser

from customers.errors import FieldError, MalformedRequest, PayloadTooLarge, ValidationFailed
from customers.services.checks import DEPTH_MAX

# Longer numbers than any field takes; Python refuses to read integers of thousands of digits, and rightly.
_DIGITS_MAX: Final = 400
_SUSPICIOUS: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


class ExactJSONParser(BaseParser):
    """`application/json` → dict, with numbers as int or Decimal."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        body = stream.read(settings.BODY_MAX_BYTES + 1)
        if len(body) > settings.BODY_MAX_BYTES:
            raise PayloadTooLarge
        return json_object(body)


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`."""
    try:
        value = json.loads(
            body.decode("utf-8"), parse_float=_decimal, parse_int=_integer, parse_constant=_not_json
        )
    except UnicodeDecodeError:
        raise MalformedRequest("The body is not valid UTF-8.") from None
    except json.JSONDecodeError as error:
        raise MalformedRequest(f"The body is not valid JSON: {error}.") from None
    except RecursionError:
        raise ValidationFailed("The body is nested too deeply.") from None
    if not isinstance(value, dict):
        raise MalformedRequest("The body is not a JSON object.")
    refuse_unstorable(value, look_at_texts=_SUSPICIOUS.search(body) is not None)
    return value


def refuse_unstorable(value: Any, *, look_at_texts: bool = True) -> None:
    """Refuse NUL characters and half surrogates, which no database column takes, and bottomless nesting."""
    open_values: list[tuple[str, Any]] = [("", value)]
    for _ in range(DEPTH_MAX):
        open_values = [inner for path, outer in open_values for inner in _inside(path, outer)]
        if look_at_texts:
            for path, inner in open_values:
                _refuse_text(path, inner)
        if not open_values:
            return
    raise ValidationFailed("The body is nested too deeply.")


def _inside(path: str, value: Any) -> list[tuple[str, Any]]:
    prefix = f"{path}." if path else ""
    if isinstance(value, dict):
        return [(f"{prefix}{key}", inner) for key, inner in value.items()]
    if isinstance(value, list):
        return [(f"{prefix}{index}", inner) for index, inner in enumerate(value)]
    return []


def _refuse_text(path: str, value: Any) -> None:
    for text in (path, value):
        if not isinstance(text, str):
            continue
        if "\x00" in text:
            _refuse(path, "nul-character", "Must not contain NUL characters.")
        try:
            text.encode()
        except UnicodeEncodeError:
            _refuse(path, "invalid-text", "Must not contain half surrogate pairs.")


def _refuse(path: str, code: str, message: str) -> NoReturn:
    field = path.replace("\x00", "\\u0000").encode("utf-8", "replace").decode()
    raise ValidationFailed(errors=(FieldError(field, code, message),))


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        _too_long()
    return value if len(text) <= _DIGITS_MAX else _too_long()


def _integer(text: str) -> int:
    return int(text) if len(text) <= _DIGITS_MAX else _too_long()


def _too_long() -> NoReturn:
    raise ValidationFailed(
        errors=(FieldError("", "number-out-of-range", "A number is longer than any field takes."),)
    )


def _not_json(text: str) -> NoReturn:
    raise MalformedRequest(f"The body is not valid JSON: {text} is not a number of JSON.")
