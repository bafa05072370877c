#!/usr/bin/env bash
# The main job on real data, command by command as a user types it: `make demo`, or examples/demo.sh [BUDGET].
# Safe to repeat and to kill: what is finished is not done again.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${BIN:-$PWD/.venv/bin}
PATH="$bin:$PATH"
export HONED_PROGRESS=1 # show progress also where the output goes into a file
budget=${1:-5m}
data=demo/icd10cm-data
space=demo/icd10cm
question="What is Pott's disease?" # an inclusion term of A18.01, whose category is in test: no word of it was trained on

run() {
  local word shown=
  for word in "$@"; do
    case $word in *[!A-Za-z0-9_./=:-]*) shown+=" \"$word\"" ;; *) shown+=" $word" ;; esac
  done
  printf '\n$%s\n' "$shown"
  "$@"
}

run python examples/icd10cm.py $data
run honed init $space
run honed -w $space import $data
if compgen -G "$space/runs/*-tune/report.html" >/dev/null; then
  printf '\nTuned already; to tune again: rm -r demo && make demo\n'
else
  run honed -w $space tune --budget "$budget"
fi
run honed -w $space report
run honed -w $space ask "$question"

cat <<EOF

The demo took $((SECONDS / 60)) min $((SECONDS % 60)) s. Next, in this folder:

  source ${bin#"$PWD"/}/activate
  cd $space
  honed search "broken heart syndrome"    # what clinicians say, found under its official name
  honed compare r1 live --split dev       # before and after, query by query
  honed releases                          # and: honed rollback

Open the report in a browser; it is one file and works offline. Then your own documents:

  honed init ~/mine && cd ~/mine
  honed add ~/documents                   # PDF, Word, HTML, Markdown, tables, e-mail, scans
  honed ask "..."
  honed label questions.csv && honed tune # columns: question, source (the document that answers it)
EOF
