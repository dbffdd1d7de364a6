#!/usr/bin/env bash
# The launcher's own rules, with a stand-in for the built program: no build is run here.
set -euo pipefail
source_root=$(dirname "$(dirname "$(readlink -f "$0")")")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0

# expect WHAT WANTED GOT
expect() {
  [[ $3 == *"$2"* ]] && return
  echo "$1: expected \"$2\", got \"$3\""
  failures=$((failures + 1))
}

# A checkout whose build is newer than its sources, and a PATH with no compiler, cmake or apt-get.
mkdir -p "$folder"/tree/{sim,model,cmake,build/release/bin} "$folder/bin" "$folder/elsewhere"
cp "$source_root/railcast" "$folder/tree/"
cp "$source_root/cmake/launch.sh" "$folder/tree/cmake/"
touch "$folder"/tree/{CMakeLists.txt,CMakePresets.json,sim/engine.cpp}
printf '#!/bin/sh\necho "ran $* in $PWD, home $RAILCAST_HOME"\nexit 3\n' >"$folder/tree/build/release/bin/railcast"
chmod +x "$folder/tree/build/release/bin/railcast"
for tool in bash sh env dirname readlink find touch mkdir mv rm flock paste id grep; do
  ln -s "$(command -v "$tool")" "$folder/bin/"
done
touch -d '+1 second' "$folder/tree/build/release/stamp"
launch() { env -u RAILCAST_HOME -u CPATH PATH="$folder/bin" "$folder/tree/railcast" "$@"; }

cd "$folder/elsewhere"
status=0
got=$(launch run "a b.json" 2>&1) || status=$?
expect "arguments, the user's folder and the home reach the program" \
  "ran run a b.json in $folder/elsewhere, home $folder/tree" "$got"
expect "the program's exit code is the launcher's" 3 "$status"
ln -s ../tree/railcast "$folder/elsewhere/link"
got=$(PATH="$folder/bin" ./link list 2>&1) || true
expect "a link to the launcher works" "ran list" "$got"

touch -d '+2 seconds' "$folder/tree/sim/engine.cpp"
status=0
got=$(launch list 2>&1 </dev/null) || status=$?
expect "a changed source is not run over" "these packages are needed" "$got"
expect "what cannot be installed is said as a command" "apt-get install -y --no-install-recommends g++ cmake" "$got"
[[ $got != *unbound* ]] || { echo "a shell error: $got"; failures=$((failures + 1)); }
expect "nothing was run" 1 "$status"
[[ $got != *"ran list"* ]] || { echo "the old program ran after a source changed"; failures=$((failures + 1)); }

. "$source_root/cmake/launch.sh"
mkdir -p "$folder/include"
touch "$folder/include/lone.hpp"
found=$(CPATH=$folder/include; for probe in bash no/such.h missing.hpp lone.hpp; do ! have "$probe" || echo -n "$probe "; done)
expect "a header is looked for among headers, in a folder or not" "[bash lone.hpp ]" "[$found]"

echo "launcher: $failures failed"
[[ $failures -eq 0 ]]
