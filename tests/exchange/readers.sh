#!/usr/bin/env bash
# Programs that read what `piaa export` writes, each in an environment of its own: they want other versions of numpy and
# Pillow than those pinned here. Tests use them when PIAA_READERS names this folder: tests/exchange/readers.sh FOLDER
set -euo pipefail
folder=${1:?name a folder}
for name in label-studio-sdk datumaro fiftyone; do
    test -x "$folder/$name/bin/python" || "${PYTHON:-python3}" -m venv "$folder/$name"
    "$folder/$name/bin/python" -m pip install --quiet --disable-pip-version-check "$name"
done
