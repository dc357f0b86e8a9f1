#!/bin/sh
# Makes the environment VENV (.venv), or brings an older, half-made or broken one up to date: `environment.sh serving`,
# or `developing`, with the tools of the tests. PYTHON names the interpreter, CPU=1 takes the CPU build of torch.
set -eu
cd "$(dirname "$0")/.."
what=$1 venv=${VENV:-.venv} stamp=${VENV:-.venv}/.$1
torch=torch==2.13.0 uv=uv==0.13.9 trackers=trackers==2.6.1

pip() { "$venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }

usable() {
    "$venv/bin/python" poseserve/serving/interpreter.py && "$venv/bin/python" -c 'import pip' &&
        { [ -z "${PYTHON:-}" ] || [ "$("$PYTHON" -V)" = "$("$venv/bin/python" -V)" ]; }
} >/dev/null 2>&1

finished() {
    for file in pyproject.toml clients/pyproject.toml constraints.txt; do [ "$stamp" -nt $file ] || return 1; done
}

make_environment() {
    if [ -n "$(ls -A "$venv" 2>/dev/null)" ] && [ ! -e "$venv/pyvenv.cfg" ]; then
        echo "$venv is there, and is no environment of Python: remove it, or name another with VENV=" >&2
        exit 1
    fi
    complaints=$(mktemp)
    python=$(sh scripts/choose_python.sh 2>"$complaints") && status=0 || status=$?
    why=$(cat "$complaints") && rm -f "$complaints" && rm -rf "$venv"
    case $status in
        0) "$python" -m venv "$venv" && return ;;
        4) "$python" -m venv "$venv" && fetch_library && usable && return ;;
    esac
    rm -rf "$venv"
    echo "$why" >&2
    if [ -z "${PYTHON:-}" ] && make_with_uv; then return; fi
    rm -rf "$venv"
    cat >&2 <<END
To serve takes Python 3.10, 3.11 or 3.12 with its shared library. Ways to get one, before the same command again:
  apt-get install python3.11 python3.11-venv libpython3.11    where Debian or Ubuntu has one of these versions
  uv venv --managed-python --python 3.12 --seed $venv         with uv (pip install uv)
  PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install 3.12
PYTHON=/path/to/python3.12 names one that lies elsewhere.
END
    exit 1
}

# Debian keeps the library in a package of its own; taken out of that, it needs no root. Lists of packages of our own,
# where the machine has none.
fetch_library() {
    package=libpython$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    command -v apt-get >/dev/null || return 1
    echo "fetching $package with apt-get into $venv/lib ..."
    folder=$(mktemp -d) && target=$(realpath "$venv/lib")
    own="-o Dir::State=$folder -o Dir::Cache=$folder -o APT::Sandbox::User=$(id -un)"
    (
        mkdir -p "$folder/lists/partial" "$folder/archives/partial" && cd "$folder"
        apt-get -qq download "$package" || { apt-get -qq $own update && apt-get -qq $own download "$package"; }
        dpkg -x "$package"_*.deb . && find usr -name 'libpython*.so*' -exec cp -P {} "$target" \;
    ) >"$folder/output" 2>&1 || { cat "$folder/output" >&2; false; } && fetched=0 || fetched=1
    rm -rf "$folder"
    return $fetched
}

make_with_uv() {
    if ! command -v uv >/dev/null; then
        tools=$(mktemp -d)
        trap 'rm -rf "$tools"' EXIT
        { python3 -m venv "$tools" && "$tools/bin/python" -m pip --quiet install $uv; } >/dev/null 2>&1 || return 1
        PATH=$tools/bin:$PATH
    fi
    echo "fetching Python 3.12 with uv into $venv ..."
    UV_HTTP_RETRIES=0 uv venv --quiet --managed-python --python 3.12 --seed "$venv"
}

if usable; then
    if finished; then exit 0; fi
else
    make_environment
fi
# torch first: with it in place nothing else asks for another build of it.
if ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
    if [ -n "${CPU:-}" ]; then  # from where pip is told to look for files, else from where uv knows that it is
        pip install --no-index --no-deps $torch+cpu 2>/dev/null || {
            pip install $uv
            "$venv/bin/python" -m uv pip install --quiet --python "$venv/bin/python" --torch-backend cpu $torch
        }
    elif ! command -v nvidia-smi >/dev/null; then
        echo "No NVIDIA driver is seen here. pip's torch is CUDA's build, 2.7 GB to download, unless pip finds another;"
        echo "CPU=1 takes the CPU build, 0.2 GB: \`make demo CPU=1\`. Ctrl-C and that command still change it."
    fi
    pip install --constraint constraints.txt $torch
fi
extras=
if [ "$what" = developing ]; then extras='[dev]'; fi
pip install --constraint constraints.txt -e clients -e ".$extras"
# It declares numpy 2, which the embedded server's stub cannot take, and works with 1.26 all the same.
if [ -n "$extras" ]; then pip install --no-deps $trackers; fi
# A machine without libGL gets the headless build of OpenCV, which is the same module.
if ! "$venv/bin/python" -c 'import cv2' 2>/dev/null; then
    pip uninstall --yes opencv-python
    pip install --constraint constraints.txt --force-reinstall --no-deps opencv-python-headless
fi
touch "$venv/.serving" "$stamp"  # whoever can develop can serve
