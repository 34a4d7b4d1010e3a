#!/usr/bin/env bash
# Run `refot verify` as the inputs of the action say, which are in the environment, and write what it
# prints into the summary of the job. The exit status is that of `refot verify`.
set -uo pipefail

words=()
if [ -n "${COMMAND:-}" ]; then words+=(--command "$COMMAND"); else words+=("${SUBJECT:-}"); fi
if [ -n "${AS:-}" ]; then words+=(--as "$AS"); fi
case "${LEVELS:-counted}" in
    counted) ;;
    all) words+=(--strict) ;;
    *) echo "levels: '$LEVELS'; allowed: counted, all" >&2; exit 2 ;;
esac

report="${REPORT:-refot-report}"
mkdir -p "$report"
said="$(mktemp)"
refot verify "${words[@]}" --profile "${PROFILE:-quick}" --json "$report/report.json" \
    --html "$report/report.html" 2>&1 | tee "$said"
status="${PIPESTATUS[0]}"

# indented by four spaces it is code in Markdown, whatever a subject prints
{ printf '### refot verify\n\n'; sed 's/^/    /' "$said"; printf '\n'; } \
    >> "${GITHUB_STEP_SUMMARY:-/dev/null}"
exit "$status"
