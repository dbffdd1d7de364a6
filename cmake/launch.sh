# Sourced by ./railcast and ./test, which set $root: installs the Debian packages that are missing, or says which; builds.

say() { echo "railcast: $*" >&2; }

# have PROBE: a command, or (with a slash in it, or ending in .h or .hpp) a header where the compiler looks.
have() {
  local folder path=${CPATH:-}
  [[ $1 == */* || $1 == *.h || $1 == *.hpp ]] || { command -v "$1" >/dev/null; return; }
  for folder in ${path//:/ } /usr/local/include /usr/include; do [[ -e $folder/$1 ]] && return; done
  return 1
}

# missing PROBE:PACKAGE...: the packages whose probe fails.
missing() {
  local item
  for item in "$@"; do have "${item%%:*}" || echo "${item##*:}"; done
}

# apt_install PACKAGE...: root installs; others through sudo, which may ask for a password only at a terminal.
apt_install() {
  local sudo=() log
  if [[ $EUID -ne 0 ]]; then
    have sudo || { say "not root, and there is no sudo"; return 1; }
    sudo=(sudo); [[ -t 0 ]] || sudo+=(-n)
  fi
  have apt-get || { say "there is no apt-get here"; return 1; }
  log=$({ "${sudo[@]}" apt-get update -qq && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends -o DPkg::Lock::Timeout=600 "$@"; } 2>&1 </dev/null) || { echo "$log" >&2; return 1; }
}

# locked NAME COMMAND...: runs the command while no other process of this checkout runs one under the same name.
locked() {
  local name=$1
  shift
  mkdir -p "$root/build" && { flock 9 && "$@" 9>&-; } 9>"$root/build/.$name.lock"
}

install_missing() {
  local packages
  mapfile -t packages < <(missing "$@")
  [[ ${#packages[@]} -gt 0 ]] || return 0
  say "installing ${packages[*]}"
  apt_install "${packages[@]}"
}

# need PROBE:PACKAGE...: installs what is missing, or stops with the command that would.
need() {
  [[ $(missing "$@") ]] || return 0
  locked install install_missing "$@" && [[ -z $(missing "$@") ]] && return
  local sudo=sudo
  [[ $EUID -ne 0 ]] || sudo=
  say "these packages are needed and could not be installed: $(missing "$@" | paste -sd' ')"
  say "run: ${sudo:+$sudo }apt-get update && ${sudo:+$sudo }apt-get install -y --no-install-recommends $(missing "$@" | paste -sd' ')"
  exit 1
}

# A build folder remembers the path of its sources: one that came along with a copied or moved checkout is of no use.
drop_if_moved() {
  [[ ! -e $1/CMakeCache.txt ]] || grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$1/CMakeCache.txt" || rm -rf "$1"
}

# build PRESET TARGET: standard output is the program's, so cmake and ninja speak on standard error.
build() {
  drop_if_moved "$root/build/$1"
  (cd "$root" && cmake --preset "$1" >/dev/null && cmake --build "build/$1" --target "$2" >&2)
}
