"""`python -m config.local run` and `python -m config.local exec -- COMMAND`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from config.local.databases import database_make
from config.local.errors import LocalError
from config.local.supervisor import run
from config.local.throwaway import Throwaway, clean_environment

_DATABASE = "purser"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m config.local", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("run", help="run Purser until it is stopped")
    execute = actions.add_parser("exec", help="run a command with an empty database and a Redis of its own")
    execute.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    try:
        if arguments.action == "run":
            return run()
        return _execute([part for part in arguments.command if part != "--"])
    except LocalError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1


def _execute(command: list[str]) -> int:
    if "DATABASE_URL" in os.environ:
        return subprocess.run(command, check=False).returncode
    servers = Throwaway()
    try:
        servers.start()
        database_make(postgres=servers.postgres, name=_DATABASE)
        environment = clean_environment() | servers.environment(database=_DATABASE)
        return subprocess.run(command, check=False, env=environment).returncode
    finally:
        servers.stop()


if __name__ == "__main__":
    sys.exit(main())
