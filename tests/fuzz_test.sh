#!/usr/bin/env bash
# Fuzzes the parsers of files that users bring, each for SECONDS (default 3): tests/fuzz_test.sh [SECONDS [FUZZER ...]]
# Needs clang 16 or later with libFuzzer; skipped (77) without. Findings land in build/fuzz.
set -euo pipefail
root=$(readlink -f "${BASH_SOURCE[0]}")
root=${root%/*/*}
seconds=${1:-3}
shift || true
[[ $# -gt 0 ]] || set -- npy csv json topology
for version in 20 19 18 17 16; do
  compiler=$(command -v clang++-$version) && [[ -e $("$compiler" -print-resource-dir)/include/fuzzer ]] && break
  compiler=
done
[[ $compiler ]] || { echo "skipped: no clang++ 16 or later with libFuzzer (apt-get install clang-16 libclang-rt-16-dev)"; exit 77; }
cache=$(command -v ccache || true)
out=$root/build/fuzz
mkdir -p "$out"
flags=(-std=c++20 -O1 -g1 -I"$root" -fno-sanitize-recover=all)

compile() {  # SOURCE SANITIZERS
  $cache "$compiler" "${flags[@]}" -fsanitize="$2" -c "$root/$1" -o "$out/${1//\//_}.o"
}
parsers=(cli/load_counts.cpp cli/load_npy.cpp cli/json.cpp cli/quantity.cpp cli/node_topology_text.cpp cli/node_topology_xml.cpp)
objects=()
for source in "${parsers[@]}"; do
  compile "$source" fuzzer-no-link,address,undefined
  objects+=("$out/${source//\//_}.o")
done
for name in "$@"; do
  compile "tests/fuzz/${name}_fuzz.cpp" fuzzer-no-link,address,undefined
  "$compiler" -fsanitize=fuzzer,address,undefined "$out/tests_fuzz_${name}_fuzz.cpp.o" "${objects[@]}" -lpugixml -o "$out/$name"
  mkdir -p "$out/found_$name"  # new inputs go here, not into the tree
  "$out/$name" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -malloc_limit_mb=512 -max_len=4096 \
    -artifact_prefix="$out/${name}_" -print_final_stats=1 "$out/found_$name" "$root/tests/fuzz/corpus/$name" \
    2>"$out/$name.log" || { tail -30 "$out/$name.log"; echo "the $name parser failed; see $out"; exit 1; }
  grep -h "stat::number_of_executed_units" "$out/$name.log" | sed "s/stat::number_of_executed_units:/$name: inputs tried/"
done
