#!/bin/sh
# Prints a Python that fits: the one named as argument, or else the first of the usual names.
# A version manager's shim may exist without a Python behind it, so each is asked, not only found.

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null
}

if [ -n "$1" ]; then
    if fits "$1"; then
        command -v "$1"
        exit 0
    fi
    echo "PYTHON=$1 is no Python 3.11, 3.12 or 3.13. Name another, or leave PYTHON out." >&2
    exit 1
fi

for name in python3 python3.13 python3.12 python3.11; do
    if fits "$name"; then
        command -v "$name"
        exit 0
    fi
done
echo "CoreCMR needs Python 3.11, 3.12 or 3.13, and none was found." >&2
echo "Install one (on Debian or Ubuntu: apt install python3 python3-venv)," >&2
echo "or name one: make $2 PYTHON=/path/to/python3" >&2
exit 1
