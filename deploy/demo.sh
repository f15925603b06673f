#!/usr/bin/env bash
# The demo: a night on an archive of phantoms, then a late image, then the reports.
#   demo.sh NIGHTREAD FOLDER
set -euo pipefail
nightread=$1 folder=$2
export NIGHTREAD_HOME=$folder/home NIGHTREAD_SOURCE=$folder/archive

# The archive holds a truncated file, as real archives do, so a run that tells the truth exits with 1.
night() { "$nightread" run || [[ $? == 1 ]]; }

rm -rf "$folder"
echo "== An archive of phantoms, with what real archives hold among them"
"$nightread" demo "$folder"
echo; echo "== The night"
night
echo; echo "== An image arrives late: only its study is reported again"
cp -r "$folder/late/." "$folder/archive/"
night
echo; echo "== Some of the drafts"
"$nightread" reports --last 4
echo
echo "SQL:      sqlite3 $NIGHTREAD_HOME/nightread.db 'SELECT * FROM latest_report'"
echo "Run page: $(cd "$NIGHTREAD_HOME" && pwd)/run.html"
