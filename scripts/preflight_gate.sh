#!/bin/sh
# The preflight gate: the project's CI on one commit, as a run would judge it, without a run.
# Environment: CI_PROFILE (normal), MAX_ATTEMPTS (3), BACKOFF_SECONDS (5); arguments go to
# `autopack preflight`, whose exit codes these are: 0 green, 1 red, 2 usage, 3 environment, 4 nothing judged.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
for program in "${AUTOPACK:-}" "$here/.venv/bin/autopack" autopack; do
  if [ -n "$program" ] && command -v "$program" >/dev/null 2>&1; then
    exec "$program" preflight "$@"
  fi
done
echo "preflight_gate.sh: no autopack found; run \`make setup\`, put it on PATH, or name it in AUTOPACK" >&2
exit 3
