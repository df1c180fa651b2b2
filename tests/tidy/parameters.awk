# Prints what has more than MOST parameters: functions, and pointers to functions in structures. It
# skips calls, bodies and macros. `dictated` has the names of callbacks whose parameters another
# library has chosen.
BEGIN {
    MOST = 5
    count = split(dictated, names, " ")
    for (i = 1; i <= count; i++)
        allowed[names[i]]
}

FNR == 1 {
    comment = continued = 0
    blocks = parentheses = 0
    name = last = ""
}

{
    line = $0
    if (comment) {
        if (!sub(/^.*\*\//, "", line))
            next
        comment = 0
    }
    gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
    gsub(/'([^'\\]|\\.)*'/, "0", line)
    gsub(/\/\*[^*]*\*+([^\/*][^*]*\*+)*\//, "", line)
    sub(/\/\/.*/, "", line)
    if (sub(/\/\*.*/, "", line))
        comment = 1
    macro = continued || line ~ /^[ \t]*#/
    continued = macro && line ~ /\\$/
    if (!macro)
        read_line()
}

# Declarations are outside of all blocks, or in those of structures.
function read_line(    token)
{
    while (match(line, /[A-Za-z_][A-Za-z_0-9]*|[(){},;=]/)) {
        token = substr(line, RSTART, RLENGTH)
        line = substr(line, RSTART + RLENGTH)
        if (token == "{") {
            declaring = last != ")" && last != "=" && outside()
            declares[++blocks] = declaring
        } else if (token == "}")
            blocks--
        else if (token == "(") {
            commas[++parentheses] = 0
            named[parentheses] = name
            first_line[parentheses] = FNR
        } else if (token == ")") {
            if (outside() && commas[parentheses] >= MOST && !(named[parentheses] in allowed))
                print FILENAME ":" first_line[parentheses] ": " named[parentheses] " has " \
                    commas[parentheses] + 1 " parameters"
            parentheses--
        } else if (token == ",")
            commas[parentheses]++
        else if (token ~ /^[A-Za-z_]/)
            name = token
        last = token
    }
}

function outside(    i)
{
    for (i = 1; i <= blocks; i++)
        if (!declares[i])
            return 0
    return 1
}
