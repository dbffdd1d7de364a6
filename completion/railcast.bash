# Completion of railcast and ./railcast for bash:  . completion/railcast.bash
_railcast() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}
  local options='--help --set --json --calibration'
  local keys='machine= machine.nic= machine.nvlink= fabric.wiring= fabric.transport= fabric.oversubscription= fabric.background=
    fabric.dead_nics= fabric.slow_nics= fabric.slow_gpus= fabric.cut_rails= nodes= plan.pp= plan.vp= plan.ep= plan.tp= plan.cp=
    plan.zero= plan.schedule= plan.micro_batch= plan.comm_sms= plan.precision= plan.split=
    workload.train.sequence= workload.train.global_batch= workload.train.routing=
    workload.all_to_all.tokens= workload.all_to_all.hidden= workload.all_to_all.top_k= workload.all_to_all.experts=
    workload.all_to_all.dtype= workload.all_to_all.router='
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    mapfile -t COMPREPLY < <(compgen -W 'run sweep schedules tune explain fit validate compare balance import-topology list --help' -- "$word")
    return
  fi
  case $verb in
    run) options+=' --trace --no-fold --allow-oom --threads --sensitivity' ;;
    tune | schedules) options+=' --threads' ;;
    fit) options='--help --output --device --held-out --report' ;;
    compare) options='--help --json --impl --base-impl --where --allow --device --rows' ;;
    validate) options='--help --json --suite --rows --calibration --device --explain --md' ;;
    explain) options+=' --layer' ;;
    balance) options+=' --scenario --gpus --redundant --tokens --token-ids --window --layer --step --bias-steps' ;;
    sweep) options+=' --metric --threads' ;;
    import-topology) options='--help --machine --name --link' ;;
  esac
  case $before:$word in
    --set:*) compopt -o nospace; mapfile -t COMPREPLY < <(compgen -W "$keys" -- "$word") ;;
    --threads:* | --layer:* | --metric:* | --name:* | --link:* | --gpus:* | --redundant:* | --tokens:* | --window:* | --bias-steps:*) ;;
    *:-*) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word") ;;
    *) compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -X '!*.json' -- "$word"; compgen -d -- "$word"
        [[ $verb != balance ]] || { compgen -f -X '!*.npy' -- "$word"; compgen -f -X '!*.csv' -- "$word"; }) ;;
  esac
}
complete -F _railcast railcast ./railcast
