#!/bin/sh
# Everything that can be said of the code without running its tests. All of it runs; then it says what failed.
set -u
cd "$(dirname "$0")/../.."
failed=

try() {
    name=$1
    shift
    echo "== $name"
    "$@" || failed="$failed $name"
}

# A database and a Redis of their own, whatever else runs here.
with_servers() { .venv/bin/python -m config.local exec -- "$@"; }

try lint .venv/bin/ruff check --quiet .
try format .venv/bin/ruff format --check --quiet .
try types env SECRET_KEY=types .venv/bin/python -m mypy .
try imports .venv/bin/lint-imports --no-logo
try django with_servers sh deploy/local/check_django.sh

if [ -n "$failed" ]; then
    echo "Failed:$failed" >&2
    exit 1
fi
echo "All checks passed."
