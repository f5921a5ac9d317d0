#!/usr/bin/env bash
# Make .venv from the lock files. $1: runtime | tests, $2: the Python to use.
set -euo pipefail
cd "$(dirname "$0")/.."
what=$1
wanted=$2

say() { printf '\033[1m%s\033[0m\n' "$*"; }

# 3.11 to 3.13: the lock file names wheels for these.
suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

choose_python() {
    local candidate
    for candidate in "$wanted" python3.13 python3.12 python3.11; do
        if suits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "Yizhan needs Python 3.11, 3.12 or 3.13; $wanted is $("$wanted" --version 2>&1 || true)." \
        "Set PYTHON=/path/to/python3.11" >&2
    exit 2
}

# One line per package, so that a slow line is seen to move.
install_locked() {
    local lock=$1 total
    shift
    total=$(grep -cE '^[a-z0-9].*==' "$lock")
    .venv/bin/python -m pip --disable-pip-version-check install --no-deps --require-hashes --progress-bar off \
        "$@" -r "$lock" | awk -v total="$total" '
        /^Requirement already/ { ++n; next }
        /^Collecting/ { sub(/ \(from .*/, ""); sub(/^Collecting /, ""); printf "  %d/%d %s\n", ++n, total, $0; fflush(); next }
        /^Installing collected/ { print "  unpacking"; fflush(); next }
        /^ERROR|^error/ { print; fflush() }'
}

if [ ! -x .venv/bin/python ] || ! suits .venv/bin/python || ! .venv/bin/python -m pip --version > /dev/null 2>&1; then
    python=$(choose_python)
    say "[1/3] making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv || {
        rm -rf .venv
        echo "making a virtual environment failed; on Debian: apt-get install python3-venv" >&2
        exit 1
    }
fi

if [ "$what" = runtime ]; then
    say "[2/3] installing from requirements.lock (200 MB, a minute or two)"
    install_locked requirements.lock
    say "[3/3] installing Yizhan itself"
    .venv/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
    touch .venv/.ready
else
    say "installing what the tests need from requirements-dev.lock (another 200 MB)"
    # face_recognition_models comes as source only: built with the setuptools of requirements.lock
    install_locked requirements-dev.lock --no-build-isolation
    touch .venv/.ready-tests
fi
