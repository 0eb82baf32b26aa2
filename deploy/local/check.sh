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

# Typing takes as long as all the others together, and one core.
said=$(mktemp)
env SECRET_KEY=types .venv/bin/python -m mypy . >"$said" 2>&1 &
typing=$!
trap 'kill "$typing" 2>/dev/null; rm -f "$said"' EXIT
trap 'exit 130' INT TERM
typed() { wait "$typing"; typed=$?; cat "$said"; return "$typed"; }

try lint .venv/bin/ruff check --quiet .
try format .venv/bin/ruff format --check --quiet .
try imports .venv/bin/lint-imports --no-logo
try django with_servers sh deploy/local/check_django.sh
try types typed

if [ -n "$failed" ]; then
    echo "Failed:$failed" >&2
    exit 1
fi
echo "All checks passed."
