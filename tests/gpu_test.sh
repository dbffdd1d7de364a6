#!/usr/bin/env bash
# gpu_test.sh [RAILCAST-MEASURE]: random problems of every kernel against its reference, on the GPU.
# 77: skipped, no nvcc built the program or no Hopper GPU is here.
set -uo pipefail
[[ ${1:-} ]] || { echo "skipped: built without nvcc, so there is no railcast-measure"; exit 77; }
for family in gemms layer; do
  "$1" --cases 10 --suite "$family" || { code=$?; [[ $code == 3 ]] && { echo "skipped: no GPU for it"; exit 77; }; exit "$code"; }
done
