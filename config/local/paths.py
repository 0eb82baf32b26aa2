"""Where an instance keeps things, and that it is the only one there."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from config.local.errors import LocalError
from config.local.processes import Account, run_as, servant

REPOSITORY = Path(__file__).resolve().parents[2]
# sun_path is 108 bytes on Linux, 104 on macOS; PostgreSQL adds "/.s.PGSQL.5432.lock".
_SOCKET_FOLDER_MAX_BYTES = 80


def home_folder() -> Path:
    """PURSER_HOME, or `.purser` beside manage.py."""
    named = os.environ.get("PURSER_HOME")
    return Path(named).expanduser().resolve() if named else REPOSITORY / ".purser"


@dataclass(frozen=True, kw_only=True)
class Home:
    """The folder of one instance. Everything of it that is secret is a file of mode 600."""

    root: Path

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def valkey(self) -> Path:
        return self.root / "valkey"

    @property
    def mark(self) -> str:
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:16]

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def secret(self, name: str) -> str:
        """A random secret of this instance, made on first use."""
        path = self.root / name
        if not path.exists():
            write_private(path, secrets.token_urlsafe(32) + "\n")
        return path.read_text().strip()

    def make(self) -> None:
        if not self.root.exists():
            self.root.mkdir(parents=True, mode=0o700)
            # Root's PostgreSQL is run by nobody, who must be able to pass through, though not to look around.
            self.root.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for folder in (self.logs, self.valkey):
            folder.mkdir(mode=0o700, exist_ok=True)

    def postgres(self) -> Path:
        """The database's folder, made on first use; elsewhere, on record, if `nobody` cannot enter here."""
        record = self.root / "postgres.path"
        if record.exists():
            return Path(record.read_text().strip())
        folder = self.root / "postgres"
        if not _made_for(folder, servant()):
            folder = _system_folder() / f"{self.mark}-{secrets.token_hex(4)}"
            if not _made_for(folder, servant()):
                raise LocalError(
                    f"User nobody, who runs PostgreSQL for root, can enter neither {self.root} nor {folder}."
                )
            (folder / "belongs-to").write_text(f"{self.root}\n")
            write_private(record, f"{folder}\n")
        return folder

    def sockets(self, name: str, *, account: Account | None = None) -> Path:
        """A private folder (700) with a path short enough for a socket."""
        here = self.root / "run" / name
        for folder in (here, _runtime_folder() / f"purser-{os.geteuid()}-{self.mark}" / name):
            # PostgreSQL and its clients take a comma for the end of one folder's name.
            fits = len(os.fsencode(folder)) <= _SOCKET_FOLDER_MAX_BYTES and "," not in str(folder)
            if fits and _made_for(folder, account):
                return folder
        raise LocalError(f"Found no folder for sockets. Choose a shorter PURSER_HOME than {self.root}.")


def _system_folder() -> Path:
    return Path("/var/lib/purser")


def _runtime_folder() -> Path:
    if os.geteuid() == 0 and Path("/run").is_dir():
        return Path("/run")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())


def _made_for(folder: Path, account: Account | None) -> bool:
    """Makes a folder of mode 700 for that account, and says whether the account can really enter it."""
    uid = os.geteuid() if account is None else account.uid
    try:
        if not folder.parent.exists():
            folder.parent.mkdir()
            folder.parent.chmod(0o711)  # to pass through, not to look around; whatever our umask
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return False
    if folder.parent.lstat().st_uid not in {0, os.geteuid()}:
        return False  # someone else's folder under a public one
    if account is not None and folder.lstat().st_uid != uid:
        os.chown(folder, account.uid, account.gid, follow_symlinks=False)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != uid:
        return False
    folder.chmod(0o700)
    return can_enter(folder, account)


def can_enter(folder: Path, account: Account | None) -> bool:
    """Only trying tells: os.access answers for us, not for the other user."""
    return run_as(account=account, command=["/bin/sh", "-c", 'cd -- "$1"', "sh", folder]).returncode == 0


def write_private(path: Path, text: str) -> None:
    """Mode 600 from the first byte, and never half written."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    temporary.replace(path)


def lock_take(home: Home) -> IO[str] | None:
    """The lock of the running instance, held until the process ends; None when another has it."""
    file = (home.root / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    file.seek(0)
    file.truncate()
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def is_running(home: Home) -> bool:
    path = home.root / "lock"
    if not path.exists():
        return False
    with path.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
