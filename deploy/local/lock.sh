#!/bin/sh
# Renews uv.lock and, from it, the hashed requirements for those who install with pip.
# Locks against the public index whatever this machine uses, so that no private mirror is written down.
set -eu
cd "$(dirname "$0")/../.."
sh deploy/local/setup.sh dev || true
uv=$(command -v uv || echo .boot/bin/uv)
unset UV_INDEX UV_INDEX_URL UV_DEFAULT_INDEX UV_EXTRA_INDEX_URL UV_FIND_LINKS VIRTUAL_ENV || true
export UV_PYTHON_DOWNLOADS=never UV_NO_CONFIG=1

"$uv" lock "$@"
export_to() {
    file=$1
    shift
    "$uv" export --quiet --locked --no-header --no-annotate --extra embedded --output-file "$file" "$@"
}
export_to requirements.txt --no-dev
export_to requirements-dev.txt --group dev
if grep -hoE '(registry|url) = "[a-z+]+://[^/"]+' uv.lock | sort -u | grep -vE '//(pypi\.org|files\.pythonhosted\.org)$'; then
    echo "lock: uv.lock names an index that is not the public one" >&2
    exit 1
fi
sh deploy/local/setup.sh dev
