_rootlet() {
    local role=${service#*=}
    case $role in
        run | init) ;;
        *)
            if ((CURRENT == 2)); then
                local -a roles=(@roles@ 'help:List the options of a role')
                _describe -t roles role roles
                _arguments '--help[Say what there is]' '--version[Print the version]'
                return
            fi
            role=$words[2]
            shift words
            ((CURRENT--))
            ;;
    esac
    case $role in
        run | init | boot) _rootlet_$role ;;
        help) _values role run init boot ;;
    esac
}

_rootlet "$@"
