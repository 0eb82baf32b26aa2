#!/bin/sh
# Makes .venv from the lock file: `setup.sh run` for the product, `setup.sh dev` adds what tests and checks need.
# Does nothing, in a blink, when .venv already fits. PYTHON=/path/to/python chooses the interpreter.
set -eu

kind=${1:-run}
cd "$(dirname "$0")/../.."
unset VIRTUAL_ENV UV_PROJECT_ENVIRONMENT PYTHONHOME PYTHONPATH || true
export UV_PYTHON_DOWNLOADS=never
# uv brings certificates of its own; behind a company's proxy only the system's know the proxy.
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
    if [ -s "$bundle" ]; then export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"; fi
done

say() { printf '%s\n' "$*" >&2; }
die() { say ""; say "setup: $*"; exit 1; }

# What .venv was made from. The folder is part of it, since a venv's scripts carry their own path.
fingerprint() {
    printf '%s %s %s %s\n' "$1" "$(cat pyproject.toml uv.lock | cksum | tr ' ' '-')" "$2" "$(pwd -P)"
}

python_version() { "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null; }

fits() {
    version=$(python_version .venv/bin/python) || return 1
    [ -f .venv/made-from ] || return 1
    [ "$(cat .venv/made-from)" = "$(fingerprint dev "$version")" ] && return 0
    [ "$1" = run ] && [ "$(cat .venv/made-from)" = "$(fingerprint run "$version")" ]
}

# A pyenv shim or a Debian python3 without venv exists and yet is of no use: only running it tells.
probe='
import sys
assert sys.implementation.name == "cpython" and (3, 11) <= sys.version_info[:2] <= (3, 14)
assert sys.version_info.releaselevel == "final" and "t" not in getattr(sys, "abiflags", "")
import ssl, zlib, venv
if sys.argv[1] == "pip":
    import ensurepip
print("%03d%03d%03d %s" % (*sys.version_info[:3], sys.executable))
'

candidates() {
    for name in python3.14 python3.13 python3.12 python3.11 python3; do
        command -v "$name" || true
        for folder in /usr/bin /usr/local/bin /opt/homebrew/bin; do
            [ -x "$folder/$name" ] && printf '%s\n' "$folder/$name"
        done
    done
    for found in "${PYENV_ROOT:-${HOME:-/}/.pyenv}"/versions/3.*/bin/python3; do
        [ -x "$found" ] && printf '%s\n' "$found"
    done
    return 0
}

newest_python() {
    if [ -n "${PYTHON:-}" ]; then
        "$PYTHON" -c "$probe" "$1" 2>/dev/null | cut -d' ' -f2-
        return 0
    fi
    candidates | sort -u | while IFS= read -r candidate; do
        "$candidate" -c "$probe" "$1" 2>/dev/null </dev/null || true
    done | sort -r | head -n 1 | cut -d' ' -f2-
}

no_python() {
    if [ -n "${PYTHON:-}" ]; then
        die "PYTHON=$PYTHON is no CPython 3.11 to 3.14 with venv and pip."
    fi
    if [ -e /etc/debian_version ]; then
        die "needs CPython 3.11 or newer with venv and pip, and found none. On Debian or Ubuntu:
    sudo apt-get install python3 python3-venv
or name one yourself: make run PYTHON=/path/to/python3"
    fi
    die "needs CPython 3.11 or newer with venv and pip, and found none. Install one, or name it: make run PYTHON=/path/to/python3"
}

# Sets $uv to a uv that works, or to nothing.
find_uv() {
    uv=$(command -v uv || true)
    if [ -n "$uv" ] && "$uv" sync --help >/dev/null 2>&1; then return 0; fi
    uv=.boot/bin/uv
    if "$uv" --version 2>/dev/null | grep -qF "$(sed -n 's/^uv==\([0-9.]*\).*/uv \1/p' deploy/local/uv.txt)"; then return 0; fi
    python=$(newest_python pip)
    [ -n "$python" ] || no_python
    say "Fetching the installer (uv)…"
    "$python" -m venv .boot >&2 && .boot/bin/python -m pip install -qq --disable-pip-version-check \
        --require-hashes -r deploy/local/uv.txt >&2 && return 0
    uv=
}

# Runs a quiet command with a dot each second, so that a slow network does not look like a hang.
with_dots() {
    (exec 9>&-; while sleep 1; do printf . >&2; done) &
    dots=$!
    trap 'kill "$dots" 2>/dev/null' EXIT
    status=0
    "$@" || status=$?
    kill "$dots" 2>/dev/null || true
    wait "$dots" 2>/dev/null || true
    trap - EXIT
    say ""
    return "$status"
}

install_with_uv() {
    if [ "$kind" = dev ]; then set -- --group dev; else set -- --no-dev; fi
    with_dots "$uv" sync --quiet --locked --extra embedded --python "$python" "$@"
}

install_with_pip() {
    rm -rf .venv
    "$python" -m venv .venv
    requirements=requirements.txt
    [ "$kind" = dev ] && requirements=requirements-dev.txt
    with_dots .venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r "$requirements"
}

case $kind in run | dev) ;; *) die "says what it does not know: $kind (run or dev)" ;; esac
fits "$kind" && exit 0

mkdir -p .boot
# Two makes at once would write one venv; where there is no flock they take their chance.
if command -v flock >/dev/null 2>&1; then
    exec 9>.boot/lock
    flock 9
    fits "$kind" && exit 0
fi
# An environment that had the tests' tools keeps them.
if [ -f .venv/made-from ] && grep -q '^dev ' .venv/made-from; then kind=dev; fi

find_uv
if [ -n "$uv" ]; then python=$(newest_python uv); else python=$(newest_python pip); fi
[ -n "$python" ] || no_python
version=$(python_version "$python")
say "Installing Purser's environment into .venv with Python $version (once; mostly download)…"
rm -f .venv/made-from
if [ -n "$uv" ] && install_with_uv >&2; then
    :
else
    say "uv could not do it; trying pip with the hashed requirements (slower)…"
    install_with_pip >&2 || die "could not install the dependencies. Is a package index reachable?"
fi
fingerprint "$kind" "$version" >.venv/made-from
say "Environment ready."
