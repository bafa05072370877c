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
question="Which code is tuberculosis of the spine?"

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
  printf '\nTuned already (to begin anew: rm -r demo). The result:\n'
  run honed -w $space report
else
  run honed -w $space tune --budget "$budget"
fi
run honed -w $space ask "$question"

cat <<EOF

That took $((SECONDS / 60)) min $((SECONDS % 60)) s. Next, in this folder:

  source ${bin#"$PWD"/}/activate
  cd $space
  words="alcohol use disorder, moderate"         # what clinicians write for F10.20, "Alcohol dependence, uncomplicated"
  honed search "\$words" -k 3 --release r1        # before
  honed search "\$words" -k 3                     # after
  honed compare r1 live --split dev              # before and after on all of dev, with interval and p
  honed ask "Who won the world cup in 1998?"     # what the documents do not say is refused
  honed releases                                 # and: honed rollback

Open the report in a browser; it is one file and works offline. Then your own documents:

  honed init ~/mine && cd ~/mine
  honed add ~/documents                          # PDF, Word, HTML, Markdown, tables, e-mail, scans
  honed ask "..."
  honed label questions.csv && honed tune        # columns: question, source (the document that answers it)
EOF
