# Sourced by the scripts beside it.
#
# read_options NAME[=DEFAULT] ... :: "$@" reads --NAME=VALUE and --dry_run up to
# --, into variables of those names; a name without a default must be given.
# What follows -- is in `program`: a module of experiments and its flags.

set -euo pipefail

fail() {
  echo "error: $1" >&2
  exit 2
}

declare -A _required=()

read_options() {
  local _known=() _name _argument
  while [ "$1" != '::' ]; do
    _name="${1%%=*}"
    _known+=("$_name")
    _required["$_name"]=1
    declare -g "$_name="
    if [ "$_name" != "$1" ]; then
      _required["$_name"]=''
      declare -g "$1"
    fi
    shift
  done
  shift
  dry_run='' program=()
  while [ $# -gt 0 ]; do
    _argument="$1"
    shift
    case "$_argument" in
      --) program=("$@"); break ;;
      --dry_run) dry_run=1 ;;
      --*=*)
        _name="${_argument%%=*}" _name="${_name#--}"
        [[ " ${_known[*]} " == *" $_name "* ]] ||
          fail "$_argument: there are $(printf -- '--%s, ' "${_known[@]}")--dry_run"
        declare -g "$_name=${_argument#*=}"
        ;;
      *) fail "$_argument: options are --NAME=VALUE, and -- begins the program" ;;
    esac
  done
  for _name in "${_known[@]}"; do
    [ -z "${_required[$_name]}" ] || [ -n "${!_name}" ] ||
      fail "--$_name=VALUE must be given"
  done
  [ ${#program[@]} -gt 0 ] ||
    fail '-- experiments.PROGRAM and its flags must be given'
}

# whole NAME LEAST [MOST]: fails where that option is no such whole number.
whole() {
  local _most="${3:-99999}"
  [[ "${!1}" =~ ^(0|[1-9][0-9]{0,4})$ ]] &&
    [ "${!1}" -ge "$2" ] && [ "${!1}" -le "$_most" ] ||
    fail "--$1=${!1}: must be a whole number from $2 to $_most"
}

# The program as a line for another shell.
quoted() {
  printf '%q ' "$@"
}

# Runs a command, or prints it with --dry_run.
run() {
  if [ -n "$dry_run" ]; then quoted "$@"; echo; else "$@"; fi
}
