# Holds the names that operate prints as JSON against the table of docs/JSON.md, which is read first. It names a name
# that the table does not have, one of another kind, and one that nothing prints.

FILENAME ~ /\.md$/ {
    if ($0 !~ /^\| `[a-z0-9_]+` \|/)
        next
    split($0, cells, / *\| */)
    name = substr(cells[2], 2, length(cells[2]) - 2)
    if (name in kinds)
        print FILENAME ": " name " stands there twice"
    if (name < last)
        print FILENAME ": " name " is not in the order of the alphabet"
    last = name
    kinds[name] = cells[3]
    document = FILENAME
    next
}

FNR == 1 { judge() }

{ text = text " " $0; file = FILENAME }

END {
    judge()
    for (name in kinds)
        if (!(name in seen))
            print document ": nothing prints " name
}

# What a function writes.
function kind_of(called, value) {
    if (called ~ /^member_(number|known_number)$/)
        return "number"
    if (called ~ /^(member_seconds|append_known)$/)
        return "seconds"
    if (called == "member_time")
        return "time"
    if (called == "member_bool")
        return "boolean"
    if (called == "member_json")
        return "any"
    if (called == "member_begin")
        return value == "\"[\"" ? "list" : value == "\"{\"" ? "object" : "any"
    return "text"
}

# Splits the arguments at the beginning of `rest`.
function read_arguments(rest,    i, letter, depth, quoted, count) {
    split("", arguments)
    count = 1
    for (i = 1; i <= length(rest); i++) {
        letter = substr(rest, i, 1)
        if (quoted && letter == "\\")
            arguments[count] = arguments[count] letter substr(rest, ++i, 1)
        else {
            if (letter == "\"")
                quoted = !quoted
            if (!quoted && letter == ")" && depth == 0)
                return
            depth += quoted ? 0 : letter == "(" ? 1 : letter == ")" ? -1 : 0
            if (!quoted && depth == 0 && letter == ",") {
                count++
                sub(/^ +/, "", rest)
            } else if (letter != " " || arguments[count] != "")
                arguments[count] = arguments[count] letter
        }
    }
}

function judge_call(called,    name, kind) {
    name = arguments[2]
    if (name == "NULL" || arguments[1] ~ /^(struct|const) / || arguments[3] == "(struct slice){0}")
        return
    if (name == "name") # a function that hands it on
        return
    if (name !~ /^"[a-z0-9_]+"$/) {
        print file ": " called "(): " name " is no literal, so nobody can look it up"
        return
    }
    name = substr(name, 2, length(name) - 2)
    kind = kind_of(called, arguments[3])
    seen[name] = 1
    if (kind == "seconds") {
        if (name !~ /_s$/)
            print file ": " name " is in seconds, and does not end with _s"
        kind = "number"
    }
    if (kind == "time" && name !~ /_(at|since)$/)
        print file ": " name " is a time, and does not end with _at or _since"
    if (!(name in kinds))
        print file ": " name ", a " kind ", is not in " document
    else if (kind == "text" && kinds[name] == "time") # the database has written it
        return
    else if (kind != "any" && index(" " kinds[name] " ", " " kind " ") == 0)
        print file ": " name " is a " kind ", and in " document " a " kinds[name]
}

function judge(    called) {
    while (match(text, /(^|[^a-z_])(member_(text|bytes|word|number|known_number|seconds|time|bool|begin|json)|append_known|append_member_shown)\(/)) {
        called = substr(text, RSTART, RLENGTH - 1)
        sub(/^[^a-z_]/, "", called)
        text = substr(text, RSTART + RLENGTH)
        read_arguments(substr(text, 1, 400))
        judge_call(called)
    }
    text = ""
}
