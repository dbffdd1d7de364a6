#!/usr/bin/env bash
# The two commands of the README on a fresh Debian 12 with none of the packages: a debootstrap chroot, a clean clone.
# Opt-in, for root, with a Debian mirror in reach; not part of ./test.
#   tests/fresh_machine.sh [FOLDER]    FOLDER keeps the bare system for the next time (default: a temporary one)
# MIRROR=URL names a mirror where this machine's own apt sources are not Debian's.
set -euo pipefail
source_root=$(dirname "$(dirname "$(readlink -f "$0")")")
kept=${1:-}
folder=$(readlink -f "${kept:-$(mktemp -d)}")
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | grep -m1 '/debian/*$')}
scenario=scenarios/train/deepseek-v3-2048-h800.json
machine=$folder/machine

finish() {
  mountpoint -q "$machine/proc" && umount "$machine/proc"
  rm -rf --one-file-system "$machine"
  [[ $kept ]] || rm -rf --one-file-system "$folder"
}
trap finish EXIT

# at USER COMMAND...: runs it in the clone, as that user, with nothing of this machine's environment.
at() {
  local user=$1
  shift
  chroot --userspec="$user" "$machine" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp \
    bash -c 'cd /srv/railcast && exec "$@"' - "$@" </dev/null
}

[[ -d $folder/bare ]] || debootstrap --variant=minbase bookworm "$folder/bare" "$mirror"
cp -a "$folder/bare" "$machine"
mount -t proc proc "$machine/proc"
git clone -q --no-hardlinks "$source_root" "$machine/srv/railcast"
chown -R nobody "$machine/srv/railcast"

echo "== neither root nor sudo: stops with the command"
said=$(at nobody ./railcast run $scenario 2>&1) || true
echo "$said"
grep -q "run: sudo apt-get update && sudo apt-get install" <<<"$said"

echo "== first run, as root"
chown -R root "$machine/srv/railcast"
time at root ./railcast run $scenario
echo "== second run"
time at root ./railcast run $scenario >/dev/null
echo "== tests"
time at root ./test
