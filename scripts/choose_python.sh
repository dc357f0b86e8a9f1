#!/bin/sh
# Prints the path of the Python to serve with: PYTHON where it is given, else the first on PATH, under pyenv or conda
# that can serve (poseserve/serving/interpreter.py), else the first that lacks only its shared library (exit code 4). With none,
# standard error says what was wrong with each (exit code 3).
check=$(dirname "$0")/../poseserve/serving/interpreter.py
no_library=4

candidates() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" || printf '%s\n' "$PYTHON"
        return
    fi
    for name in python3.12 python3.11 python3.10 python3; do
        printf '%s\n' "$PATH" | tr : '\n' | while read -r folder; do printf '%s\n' "$folder/$name"; done
    done
    for version in 3.12 3.11 3.10; do
        for prefix in "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version"* \
            "${CONDA_PREFIX:-/nowhere}" /opt/conda "$HOME"/*conda3 "$HOME"/*forge3 "$HOME"/*conda3/envs/* "$HOME"/*forge3/envs/*
        do
            printf '%s\n' "$prefix/bin/python$version"
        done
    done
}

reasons=
incomplete=
seen=:
while read -r python; do
    [ -x "$python" ] || [ -n "${PYTHON:-}" ] || continue
    real=$(readlink -f "$python")
    case $seen in *":$real:"*) continue ;; esac
    seen=$seen$real:
    if [ ! -x "$python" ]; then
        answer="there is no such program"
    elif answer=$("$python" "$check" 2>&1); then
        printf '%s\n' "$answer"
        exit 0
    elif [ $? -eq $no_library ] && [ -z "$incomplete" ]; then
        incomplete=$(printf '%s\n' "$answer" | grep -m 1 '^/')
    fi
    reasons="$reasons
  $python: $(printf '%s\n' "$answer" | tail -n 1)"
done <<END
$(candidates)
END
printf 'No Python here can serve.%s\n' "${reasons:- There is none on PATH, under pyenv or conda.}" >&2
[ -n "$incomplete" ] || exit 3
printf '%s\n' "$incomplete"
exit $no_library
