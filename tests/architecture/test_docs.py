"""What the docs name is there: files, anchors, targets of make, commands. README's five minutes print what it says."""

from __future__ import annotations

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import get_commands

from tests.conftest import Api

ROOT = Path(settings.BASE_DIR)
README = ROOT / "README.md"
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]

_FENCED = re.compile(r"```.*?```", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
_FOLDERS = "benchmarks|billing|config|customers|deploy|docs|metering|subscriptions|templates|tests"
_PATH = re.compile(rf"(?<![\w./-])((?:{_FOLDERS})/[\w./-]*\w\.(?:css|html|js|json|md|mjs|py|sh|sql|txt))")
# In code, where it cannot be a word of a sentence.
_CODE = re.compile(r"`[^`\n]+`|^    .*$", re.MULTILINE)


def text_of(page: Path) -> str:
    return _FENCED.sub("", page.read_text())


def code_of(page: Path) -> str:
    return "\n".join(_CODE.findall(page.read_text()))


def anchors_of(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page):
    for link in (one or other for one, other in _LINK.findall(text_of(page))):
        path, _, anchor = link.partition("#")
        if path.startswith(("http:", "https:", "mailto:")):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page):
    for path in _PATH.findall(text_of(page)):
        assert (ROOT / path).exists(), path
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", code_of(page))) <= targets
    assert set(re.findall(r"\bmanage\.py ([a-z_]+)", page.read_text())) <= set(get_commands())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_says_to_call_is_there(page):
    described = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
    there = {
        f"{method.upper()} {re.sub('{[^}]*}', '{}', path)}"
        for path in described
        for method in described[path]
    }
    calls = re.findall(
        r"\b(GET|POST|PATCH|PUT|DELETE)\s+(/v1/[\w/{}.-]*[\w}])(?=[\s`?:,;.)]|$)", text_of(page)
    )

    assert {f"{method} {re.sub('{[^}]*}', '{}', path)}" for method, path in calls} <= there


def test_every_guide_is_found_from_the_readme():
    linked = {one.partition("#")[0] for one, _ in _LINK.findall(README.read_text())}
    missing = {page.name for page in (ROOT / "docs").glob("*.md") if f"docs/{page.name}" not in linked}

    # What the benchmarks print is for whoever reads about performance.
    assert missing == {"plans.md"}


def test_every_decision_is_in_the_list_of_them():
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"^\| \[([\w-]+)\]", (folder / "README.md").read_text(), re.MULTILINE)

    assert sorted(listed) == sorted(page.stem for page in folder.glob("*.md") if page.stem != "README")


# --- README's five minutes


def five_minutes() -> list[tuple[list[str], str]]:
    """Its commands, each with what it prints below, if that is shown."""
    section = README.read_text().partition("## Five minutes")[2].partition("\n## ")[0]
    blocks = [block for block in section.split("\n\n") if block.startswith("    ")]
    commands: list[tuple[list[str], str]] = []
    for block in blocks:
        if block.lstrip().startswith("curl "):
            commands.append((shlex.split(block), ""))
        elif block.lstrip().startswith("{"):
            commands[-1] = (commands[-1][0], block)
    return commands


def sent(api: Api, command: list[str]) -> Any:
    """What curl would have sent, as its arguments say."""
    arguments = dict(pairwise(command))
    headers = dict(each.split(": ") for flag, each in pairwise(command) if flag == "-H")
    assert headers.pop("X-API-Key") == "$PURSER_TEST_KEY"
    (url,) = (each for each in command if each.startswith("$PURSER_URL/"))
    body = json.loads(arguments["-d"]) if "-d" in arguments else None
    return api.send(
        arguments.get("-X", "GET"),
        url.removeprefix("$PURSER_URL"),
        body,
        idempotency_key=headers.get("Idempotency-Key"),
    )


def test_the_five_minutes_of_the_readme_print_what_it_says(api):
    commands = five_minutes()
    assert len(commands) == 7
    compared = 0

    for command, printed in commands:
        answer = sent(api, command)
        assert answer.status in {200, 201, 202}, (command, answer)
        # Ids are new each time, and what is left out is left out.
        for name, value in re.findall(r'"(\w+)":("[^"…]*"|\d+|true|false|null)[,}]', printed):
            if not name.endswith("id") or name == "external_id":
                assert answer[name] == json.loads(value), name
                compared += 1
    assert compared > 10
