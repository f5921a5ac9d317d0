#!/usr/bin/env bash
# Install what the tests need from the system where that is possible, then run all tests. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

has_fonts() { compgen -G '/usr/share/fonts/*/noto/Noto*CJK*' > /dev/null || fc-list :lang=zh 2> /dev/null | grep -q .; }
has_browser() { command -v chromium > /dev/null || command -v chromium-browser > /dev/null || command -v google-chrome > /dev/null; }

missing=()
[ -x /usr/sbin/mosquitto ] || command -v mosquitto > /dev/null || missing+=(mosquitto)
command -v mosquitto_pub > /dev/null || missing+=(mosquitto-clients)
compgen -G '/usr/lib/postgresql/*/bin/postgres' > /dev/null || command -v postgres > /dev/null || missing+=(postgresql)
has_browser || missing+=(chromium)
has_fonts || missing+=(fonts-noto-cjk)
command -v espeak-ng > /dev/null || missing+=(espeak-ng)
compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' > /dev/null || missing+=(libfaketime)
command -v strace > /dev/null || missing+=(strace)

# A subshell, so that its trap runs whatever happens.
install_parts() (
    # The tests start their own servers on free ports; the packages must not start the system's.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod 755 "$policy"
    fi
    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "$@" > /dev/null
)

if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        printf 'installing for the tests: %s\n' "${missing[*]}"
        install_parts "${missing[@]}" || printf 'installing %s failed\n' "${missing[*]}" >&2
    elif [ "${CI:-}" != true ]; then
        printf 'missing on this machine, so the tests that need them are skipped: %s\n' "${missing[*]}"
        printf 'to run them too: sudo apt-get install %s\n' "${missing[*]}"
    fi
fi

# Under CI=true a test whose part is missing fails (tests/support/parts.py).
# Two files at a time: most of the time one of them waits. `ARGS="-n 0 …"` for one after the other.
exec .venv/bin/python -m pytest -n 2 --dist loadfile --durations=40 --durations-min=5 "$@"
