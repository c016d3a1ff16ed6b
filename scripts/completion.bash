# bash completion for rootlet

# Completes the value of an option: $1 is the option, $2 the value so far.
_rootlet_values() {
    local value=$2 before=
    # In a list only the last name is completed.
    [[ $value == *,* ]] && before=${value%,*},
    case $1 in
@values@
    esac
}

_rootlet() {
    local role='' options='' with_value='' word joined='' option='' operands=0 next=2
    # Options with three words.
    local with_words='@with_words@' further=0
    local words=()
    # Bash takes = and : for the ends of words.
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        if [[ -n $joined || $word == [:=]* ]] && ((${#words[@]} > 1)); then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        joined=
        [[ $word == *[:=] ]] && joined=1
    done
    local current=${words[-1]}
    COMPREPLY=()
    case ${words[0]##*/} in
@links@
        *)
            if ((${#words[@]} == 2)); then
                mapfile -t COMPREPLY < <(compgen -W 'run init boot help --help --version' -- "$current")
                return
            fi
            role=${words[1]}
            ;;
    esac
    case $role in
@roles@
        help)
            mapfile -t COMPREPLY < <(compgen -W 'run init boot' -- "$current")
            return
            ;;
        *) return ;;
    esac
    for word in "${words[@]:next:${#words[@]}-next-1}"; do
        if ((further)); then
            further=$((further - 1))
        elif [[ -n $option ]]; then
            [[ $with_words == *" $option "* ]] && further=2
            option=
        elif [[ $with_words == *" ${word%%=*} "* && $word == *=* ]]; then
            further=2
        elif ((operands)); then
            operands=$((operands + 1))
        elif [[ $with_value == *" $word "* ]]; then
            option=$word
        elif [[ $word != -* && ! ($role == run && $word == @*) ]]; then
            operands=1
        fi
    done
    if ((further)); then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    elif [[ -n $option ]]; then
        mapfile -t COMPREPLY < <(_rootlet_values "$option" "$current")
    elif ((operands == 0)) && [[ $current == --*=* ]]; then
        mapfile -t COMPREPLY < <(_rootlet_values "${current%%=*}" "${current#*=}")
    elif ((operands == 0)) && [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    elif [[ $role == run && $current == @* ]] && ((operands == 0)); then
        mapfile -t COMPREPLY < <(compgen -P @ -f -- "${current#@}")
    elif [[ $role == run ]] && ((operands == 0)); then
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
    elif [[ $role == init ]] && ((operands == 0)); then
        mapfile -t COMPREPLY < <(compgen -c -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}
complete -o filenames -F _rootlet rootlet pychroot tini docker-init dumb-init catatonit podman-init
