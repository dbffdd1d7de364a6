#!/usr/bin/env bash
# Every C++ and CUDA file stands as clang-format 14 lays it out (other versions differ). 77: skipped, no such version here.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
for format in clang-format-14 clang-format ''; do
  [[ $format ]] && "$format" --version 2>/dev/null | grep -q "version 14\." && break
done
if [[ ! $format ]]; then
  echo "skipped: needs clang-format 14 (apt-get install clang-format-14)"
  exit 77
fi
# Fed an ill-formed line, the check must object: otherwise it checks nothing.
! echo 'int  x ;' | "$format" --dry-run --Werror --assume-filename=a.cpp 2>/dev/null || { echo "the check finds nothing"; exit 1; }
shopt -s nullglob globstar
printf '%s\0' {cli,kernels,model,reports,sim,tests,validate}/**/*.{cpp,hpp,cu,cuh} | xargs -0 "$format" --dry-run --Werror
