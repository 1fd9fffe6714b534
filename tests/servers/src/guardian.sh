# Holds one server, and sees to it that nothing of it outlives the process at the other end of standard
# input: when that ends, however it ends, the server is killed and its folder removed.
#
# Arguments: where to make the folder, and what its name begins with.
# Says the folder, then answers each line that it reads with a line:
#   also PATH      this, too, is removed in the end
#   run WORDS      run to the end                                   its exit status
#   start WORDS    begin the server                                 0
#   state          whether it runs                                  running | ended
#   signal NAME    to the server's first process alone              0
#   all NAME       to every process of it (STOP or CONT)            0
#   kill           every process of it, at once; waits for it       0
# WORDS are quoted for a shell.

set -u
# Nobody may be there any more to hear an answer, and all that is to be done then comes after it. A trap,
# unlike a signal that is ignored, is not handed down to servers.
trap : PIPE
folder=$(mktemp -d "$1/$2-XXXXXXXXXX") || exit 1
exec 2>>"$folder/log"
server=
also=

# Whether a process exists and has not ended. Sets `parent`.
lives() {
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  # The name, in parentheses, may hold anything.
  stat=${stat##*) }
  parent=${stat#* }
  parent=${parent%% *}
  case $stat in Z* | X*) return 1 ;; esac
}

# A number may have gone to somebody else since; only our own child is the server.
runs() {
  [ -n "$server" ] && lives "$server" && [ "$parent" = $$ ]
}

# Sets `family`: the server, and whatever descends from it.
gather() {
  family=" $server "
  table=$(cat /proc/[0-9]*/stat 2>/dev/null)
  set -f
  IFS='
'
  grown=1
  while [ $grown = 1 ]; do
    grown=0
    for stat in $table; do
      process=${stat%% *}
      case $family in *" $process "*) continue ;; esac
      stat=${stat##*) }
      stat=${stat#* }
      parent=${stat%% *}
      case $family in *" $parent "*) family="$family$process " grown=1 ;; esac
    done
  done
  unset IFS
  set +f
}

# Until no new process shows, since one that is not stopped yet may begin others.
stop() {
  kill -STOP "$server"
  gather
  before=
  while [ "$family" != "$before" ]; do
    kill -STOP $family 2>/dev/null
    before=$family
    gather
  done
}

end() {
  family=
  if runs; then
    stop
    kill -KILL $family 2>/dev/null
  fi
  [ -z "$server" ] || wait "$server"
  server=
  # Its children are somebody else's now, and end in their own time.
  for process in $family; do
    while lives "$process"; do sleep 0.01; done
  done
  [ -z "$family" ] || forget
}

# Segments of System V shared memory outlive whoever made them; the kernel has room for 4096. One that
# somebody is attached to is not ours, whatever number its maker had.
forget() {
  while read -r key segment mode size creator last attached others; do
    case "$attached $family" in "0 "*" $creator "*) ipcrm -m "$segment" ;; esac
  done </proc/sysvipc/shm
}

echo "$folder"
while read -r verb words; do
  case $verb in
  also) also=$words && echo 0 ;;
  run)
    eval "$words" </dev/null >>"$folder/log" 2>&1
    echo $?
    ;;
  start)
    eval "exec $words" </dev/null >>"$folder/log" 2>&1 &
    server=$!
    echo 0
    ;;
  state) if runs; then echo running; else echo ended; fi ;;
  signal)
    if runs; then kill "-$words" "$server"; fi
    echo 0
    ;;
  all)
    if runs; then
      if [ "$words" = STOP ]; then
        stop
      else
        gather
        kill "-$words" $family 2>/dev/null
      fi
    fi
    echo 0
    ;;
  kill)
    end
    echo 0
    ;;
  esac
done
end
[ -z "$also" ] || rm -rf "$also"
rm -rf "$folder"
