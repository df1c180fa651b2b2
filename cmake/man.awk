# Makes a manual page from the Markdown that the program writes about itself.
#
#   awk -v name=keepstep -v section=1 -v summary="keep …" -v date=2026-11-29 -v version=0.2.0 \
#       -f man.awk < page.md
#
# It knows headings, paragraphs, tables, code blocks, `code`, **strong**, *emphasis*, [text](link).
# Each row of a table becomes an entry of a list, named by its first cell. If the last column is the
# meaning, it comes first; the other cells follow with their columns' names.

BEGIN {
    printf ".TH %s %s \"%s\" \"Keepstep %s\" \"Keepstep\"\n", toupper(name), section, date, version
    print ".nh\n.ad l\n.SH NAME"
    print name " \\- " summary
}

# Escapes what troff would misread. \001 stands for troff's backslash until the end.
function plain(text) {
    gsub(/\\/, "\001e", text)
    gsub(/-/, "\001-", text)
    gsub(/~/, "\001(ti", text)
    gsub(/\^/, "\001(ha", text)
    gsub(/'/, "\001(aq", text)
    return text
}

function paired(text, mark, font,    parts, n, i, result) {
    n = split(text, parts, mark)
    result = parts[1]
    for (i = 2; i <= n; i++)
        result = result (i % 2 == 0 && i < n ? "\001f" font : i % 2 == 1 ? "\001fR" : mark) parts[i]
    return result
}

function formatted(text,    parts, n, i, result) {
    while (match(text, /\[[^]]*\]\([^)]*\)/)) {
        i = index(substr(text, RSTART), "](")
        text = substr(text, 1, RSTART - 1) substr(text, RSTART + 1, i - 2) \
            substr(text, RSTART + RLENGTH)
    }
    n = split(plain(text), parts, "`")
    result = ""
    for (i = 1; i <= n; i++)
        result = result (i % 2 == 0 ? "\001fB" parts[i] "\001fR" \
            : paired(paired(parts[i], "[*][*]", "B"), "[*]", "I"))
    return result
}

function put(text) {
    gsub(/\001/, "\\", text)
    if (text ~ /^[.']/) text = "\\&" text
    print text
}

function heading(macro, text) {
    gsub(/\001/, "\\", text)
    gsub(/"/, "\\(dq", text)
    headed = 1
    print "." macro " \"" text "\""
    fresh = 1
}

function row(line,    i, extra) {
    gsub(/^\| *| *\|$/, "", line)
    cells = split(line, cell, / *\| */)
    if (!in_table) {
        in_table = 1
        for (i = 1; i <= cells; i++) head[i] = cell[i]
        return
    }
    if (cell[1] ~ /^-+$/) return
    print ".TP"
    put(formatted(cell[1]))
    if (head[cells] != "meaning") {
        for (i = 2; i <= cells; i++) {
            if (i > 2) print ".br"
            put(formatted(cell[i]))
        }
        return
    }
    put(formatted(cell[cells]))
    for (i = 2; i < cells; i++)
        if (cell[i] != "-") extra = extra (extra == "" ? "" : "; ") head[i] " " cell[i]
    if (extra == "") return
    print ".br"
    put(formatted(toupper(substr(extra, 1, 1)) substr(extra, 2) "."))
}

# The first lines may have no heading.
{ if (!headed && /^[^#<]/) { headed = 1; print ".SH DESCRIPTION" } }

/^```/ {
    code = !code
    fresh = blank = 0
    print code ? ".PP\n.RS 4\n.nf" : ".fi\n.RE"
    next
}
code { put(plain($0)); next }
/^<!--/ { next }
/^\|/ { row($0); fresh = 0; next }
{ in_table = 0 }
/^# / { next }
/^## / { heading("SH", toupper(plain(substr($0, 4)))); next }
/^### / { heading("SS", formatted(substr($0, 5))); next }
/^$/ { blank = 1; next }
{
    if (blank && !fresh) print ".PP"
    blank = fresh = 0
    put(formatted($0))
}
