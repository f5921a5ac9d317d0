#!/usr/bin/env bash
# Make .venv from the lock file. $1: runtime | tests, $2: the Python to use.
set -euo pipefail
cd "$(dirname "$0")/.."
what=$1
python=$2

"$python" - <<'PY' || exit 2
import sys
if sys.version_info < (3, 11):
    sys.exit(f"Yizhan needs Python 3.11 or newer; this is {sys.version.split()[0]}. Set PYTHON=/path/to/python3.11")
PY

say() { printf '\033[1m%s\033[0m\n' "$*"; }

if [ ! -x .venv/bin/python ]; then
    say "[1/3] making .venv"
    "$python" -m venv .venv || {
        echo "making a virtual environment failed; on Debian install the package python3-venv" >&2
        exit 1
    }
fi

pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }

if [ "$what" = runtime ]; then
    say "[2/3] installing about 50 packages from requirements.lock (200 MB, a minute or two)"
    pip install --quiet --progress-bar on --no-deps --require-hashes -r requirements.lock
    say "[3/3] installing Yizhan itself"
    pip install --quiet --no-deps --no-build-isolation --editable .
    touch .venv/.ready
else
    say "installing what the tests need from requirements-dev.lock (another 200 MB)"
    # face_recognition_models comes as source only: built with the setuptools of requirements.lock
    pip install --quiet --progress-bar on --no-deps --no-build-isolation --require-hashes -r requirements-dev.lock
    touch .venv/.ready-tests
fi
