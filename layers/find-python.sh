#!/usr/bin/env bash
# Print a working Python 3.12, the version Lambda runs, or say how to get one.
set -u
for candidate in ${PYTHON:-} python3.12 "$HOME"/.pyenv/versions/3.12*/bin/python3.12 python3 python; do
    if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null; then
        echo "$candidate"
        exit 0
    fi
done
echo "Python 3.12 was not found. Install it (for example: uv python install 3.12, pyenv install 3.12," >&2
echo "or your distribution's python3.12 and python3.12-venv), or say where it is: make PYTHON=/path/to/python3.12" >&2
exit 1
