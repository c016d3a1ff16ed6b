# Draws bars from lines of PANEL, NAME, VALUE, UNIT, separated by tabs. The largest value of a panel has the
# longest bar. The scale is logarithmic: each step of the grid is ten times the one before.

function log10(value) { return log(value) / log(10) }

function floor(value) { return value < int(value) ? int(value) - 1 : int(value) }

function ceiling(value) { return -floor(-value) }

function escaped(text) {
    gsub(/&/, "\\&amp;", text)
    gsub(/</, "\\&lt;", text)
    return text
}

# anchor: start, middle or end.
function words(x, y, anchor, class, text) {
    body = body sprintf("<text x=\"%d\" y=\"%d\" text-anchor=\"%s\" class=\"%s\">%s</text>\n",
        x, y, anchor, class, escaped(text))
}

function shown(value) {
    return value == int(value) || value >= 100 ? sprintf("%.0f", value) : value >= 10 ? sprintf("%.1f", value) : sprintf("%.2f", value)
}

BEGIN { FS = "\t" }

!($1 in count) { panels[++panel_count] = $1 }

{
    row = ++count[$1]
    name[$1, row] = $2
    value[$1, row] = $3
    unit[$1] = $4
    if (row == 1 || $3 < least[$1]) least[$1] = $3
    if (row == 1 || $3 > most[$1]) most[$1] = $3
}

END {
    left = 230
    width = 420
    y = 20
    for (p = 1; p <= panel_count; p++) {
        panel = panels[p]
        # Start a power of ten below the shortest bar, so that it is visible.
        low = floor(log10(least[panel]) - 0.3)
        high = ceiling(log10(most[panel]))
        words(10, y, "start", "title", panel ", " unit[panel])
        y += 8
        bottom = y + 20 * count[panel]
        for (step = low; step <= high; step++) {
            x = left + width * (step - low) / (high - low)
            body = body sprintf("<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n", x, y, x, bottom)
            words(x, bottom + 13, "middle", "scale", sprintf("%g", 10 ^ step))
        }
        for (row = 1; row <= count[panel]; row++) {
            length_of_bar = width * (log10(value[panel, row]) - low) / (high - low)
            ours = name[panel, row] == "rootlet"
            words(left - 8, y + 14, "end", ours ? "ours" : "name", name[panel, row])
            body = body sprintf("<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"14\" class=\"%s\"/>\n",
                left, y + 3, length_of_bar, ours ? "ours" : "theirs")
            words(left + length_of_bar + 6, y + 14, "start", "name", shown(value[panel, row]))
            y += 20
        }
        y += 46
    }
    words(10, y - 10, "start", "scale", "logarithmic scales; " machine)
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 730 %d\" role=\"img\">\n", y
    print "<title>rootlet and others, by time and memory; less is better</title>"
    print "<style>"
    print "text { font: 12px sans-serif; fill: #333 } .title, .ours { font-weight: bold }"
    print ".scale { font-size: 10px; fill: #777 } line { stroke: #ddd }"
    print "rect.ours { fill: #c33 } rect.theirs { fill: #89a }"
    print "</style>"
    printf "<rect width=\"730\" height=\"%d\" fill=\"#fff\"/>\n%s</svg>\n", y, body
}
