# shellcheck shell=bash disable=SC2034,SC2154 # variables of scripts/vm and of its other parts
# Messages, and safe handling of text and numbers from the guest.

say() {
    printf 'vm: %s\n' "$*" >&2
}

# Prints a choice, with --verbose.
note() {
    if $verbose; then say "$*"; fi
}

fail() {
    say "$*"
    exit 125
}

# printable [PREFIX]: copies lines of standard input, and escapes everything that a terminal could take for a
# command: control characters, and bytes that are not UTF-8, some of which are control characters to 8-bit
# terminals. Every text from the guest that a person reads goes through here.
printable() {
    local LC_ALL=C line text plain code
    local more=[$'\x80'-$'\xbf']
    while IFS= read -r -n 4096 line || [ -n "$line" ]; do
        line=${line%$'\r'}
        text=
        while [ -n "$line" ]; do
            plain=${line%%[!\ -~]*}
            text+=$plain
            line=${line:${#plain}}
            # The valid forms of UTF-8, without U+0080 to U+009F.
            case $line in
                '') code=0 ;;
                $'\xc2'[$'\xa0'-$'\xbf']* | [$'\xc3'-$'\xdf']$more*) code=2 ;;
                $'\xe0'[$'\xa0'-$'\xbf']$more* | $'\xed'[$'\x80'-$'\x9f']$more*) code=3 ;;
                [$'\xe1'-$'\xec'$'\xee'$'\xef']$more$more*) code=3 ;;
                $'\xf0'[$'\x90'-$'\xbf']$more$more* | $'\xf4'[$'\x80'-$'\x8f']$more$more*) code=4 ;;
                [$'\xf1'-$'\xf3']$more$more$more*) code=4 ;;
                *)
                    # A quote before a character makes printf use its number, which may be negative.
                    printf -v code %d "'$line"
                    printf -v plain '\\x%02x' $((code & 255))
                    text+=$plain
                    line=${line:1}
                    code=0
                    ;;
            esac
            text+=${line:0:code}
            line=${line:code}
        done
        printf '%s\n' "${1:-}$text"
    done
}

# is_number TEXT GREATEST: succeeds for a number in rootlet's form. Bash executes commands inside an
# arithmetic expression, so nothing else from the guest may be used there.
is_number() {
    case $1 in
        0 | [1-9] | [1-9]*[0-9]) ;;
        *) return 1 ;;
    esac
    case $1 in
        *[!0-9]* | ???????????*) return 1 ;;
    esac
    [ "$1" -le "$2" ]
}
