#!/usr/bin/env bash
# Resolve requirements.lock (runtime and demo) and requirements-dev.lock (tests, types, lint, second face engine).
# requirements-fuzz.lock: the coverage-guided fuzzer, which `make faults` installs where there is a wheel for it.
# Universal: Python 3.11 to 3.13, x86-64 and 64-bit ARM. Hashes, no index addresses.
set -euo pipefail
cd "$(dirname "$0")/.."

resolve() {
    uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header --no-annotate --quiet "$@"
}

# The demo reads one photograph out of each of these two packages and imports neither,
# so nothing that only they need is installed.
unused=(contourpy cycler fonttools imageio kiwisolver lazy-loader networkx pillow pyparsing
    python-dateutil scipy tifffile)
skip=()
for name in "${unused[@]}"; do skip+=(--no-emit-package "$name"); done

resolve --extra demo --group build "${skip[@]}" -o requirements.lock

# face-recognition asks for `dlib`, which has no wheels; dlib-bin provides the same module.
override=$(mktemp)
trap 'rm -f "$override"' EXIT
echo 'dlib; python_version < "0"' > "$override"
# Pillow is in: face-recognition loads pictures with it.
dev_skip=()
for name in "${unused[@]}"; do [ "$name" = pillow ] || dev_skip+=(--no-emit-package "$name"); done
resolve --extra demo --extra dlib --group build --group test --group types --group lint \
    --override "$override" -c requirements.lock "${dev_skip[@]}" -o requirements-dev.lock

uv pip compile --group pyproject.toml:fuzz --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-header --no-annotate --quiet -o requirements-fuzz.lock
