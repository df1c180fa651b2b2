# Prints where two folders share six or more equal lines in a row. It reads the back ends' files in
# order and compares lines without their white space. It skips blank lines, comments, single braces,
# includes, and the slots of function tables, which are the same in all back ends.
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
    if (line ~ /^[{}();,]*$/ || line ~ /^#include/ || line ~ /^\.[a-z_]+=[a-z_]+,$/)
        next
    text[FILENAME, ++count] = line
    place[FILENAME, count] = FNR
    compare()
}

# Compares the last LEAST lines with the first other folder that has them. A run of equal lines is
# printed once, with its first line and its whole length.
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
