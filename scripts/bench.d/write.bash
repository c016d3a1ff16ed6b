# shellcheck shell=bash disable=SC2154 # $scratch: of scripts/bench
# Writes the tables of scripts/bench.md, between its two marks, and the chart.

write_all() {
    local begin='<!-- Written by scripts/bench --write -->' end='<!-- Until here -->'
    if ! grep -qxF "$begin" scripts/bench.md || ! grep -qxF "$end" scripts/bench.md; then
        say "scripts/bench.md has no lines '$begin' and '$end'"
        return 1
    fi
    awk -v begin="$begin" -v end="$end" -v tables="$scratch/tables" '
        $0 == end { inside = 0 }
        !inside { print }
        $0 == begin {
            inside = 1
            print ""
            while ((getline line < tables) > 0) {
                sub(/ +$/, "", line)
                print line == "" ? "" : "    " line
            }
            print ""
        }' scripts/bench.md >"$scratch/bench.md"
    cat "$scratch/bench.md" >scripts/bench.md
    if [ -s "$scratch/points" ]; then
        awk -v machine="$(sed -n 1p "$scratch/tables")" -f scripts/bench.d/chart.awk "$scratch/points" \
            >scripts/bench.svg
    fi
}
