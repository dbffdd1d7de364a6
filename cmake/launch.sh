# Sourced by ./railcast and ./test: installs the Debian packages that are missing, or says which.

# need COMMAND-OR-PATH:PACKAGE ...   each package is needed unless the command or the path exists.
need() {
  local item probe missing=()
  for item in "$@"; do
    probe=${item%%:*}
    if [[ $probe == /* ]]; then [[ -e $probe ]] || missing+=("${item##*:}"); else
      command -v "$probe" >/dev/null || missing+=("${item##*:}")
    fi
  done
  [[ ${#missing[@]} -eq 0 ]] && return
  local sudo=()
  [[ $(id -u) -eq 0 ]] || sudo=(sudo -n)
  echo "railcast: installing ${missing[*]}" >&2
  if ! { "${sudo[@]}" apt-get update -qq && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null; then
    echo "railcast: could not install them; run: sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
}
