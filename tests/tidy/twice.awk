# Names runs of six and more equal lines that two folders share: the back ends' files are read in
# order, and each line is compared without its white space. Blank lines, comments, lone braces and
# includes are passed over.
BEGIN { LEAST = 6 }

FNR == 1 {
    folder = FILENAME
    sub(/\/[^\/]*$/, "", folder)
    comment = 0
    count = 0 # significant lines of this file
}

{
    line = $0
    if (comment) {
        if (!sub(/^.*\*\//, "", line))
            next
        comment = 0
    }
    gsub(/\/\*[^*]*\*+([^\/*][^*]*\*+)*\//, "", line)
    if (sub(/\/\*.*/, "", line))
        comment = 1
    gsub(/[ \t]/, "", line)
    if (line ~ /^[{}();,]*$/ || line ~ /^#include/)
        next
    text[FILENAME, ++count] = line
    place[FILENAME, count] = FNR
    compare()
}

# The last LEAST lines, against the same lines of the first other folder that has them. A run is
# named once, at its first lines, with the length that it has in the end.
function compare(    key, i, other, at)
{
    if (count < LEAST)
        return
    key = ""
    for (i = count - LEAST + 1; i <= count; i++)
        key = key text[FILENAME, i] "\n"
    if (!(key in first)) {
        first[key] = FILENAME
        first_at[key] = count
        first_folder[key] = folder
        return
    }
    other = first[key]
    at = first_at[key]
    if (first_folder[key] == folder)
        return
    if (other == run_other && FILENAME == run_file && count == run_end + 1 &&
        at == run_other_end + 1)
        length_of[runs]++
    else {
        runs++
        length_of[runs] = LEAST
        name_of[runs] = FILENAME ":" place[FILENAME, count - LEAST + 1] " and " other ":" \
            place[other, at - LEAST + 1]
    }
    run_file = FILENAME
    run_end = count
    run_other = other
    run_other_end = at
}

END {
    for (i = 1; i <= runs; i++)
        print name_of[i] ": " length_of[i] " equal lines"
}
