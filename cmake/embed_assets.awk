# Turns files into a C table of struct asset (operate/page/asset.h):
#   awk -f embed_assets.awk FILE... > SOURCE
function name_of(file) { sub(/.*\//, "", file); return file }
BEGIN {
    types["html"] = "text/html; charset=utf-8"; types["css"] = "text/css; charset=utf-8"
    types["js"] = "text/javascript; charset=utf-8"; types["svg"] = "image/svg+xml"
    print "/* Generated. */\n#include \"operate/page/asset.h\""
}
FNR == 1 {
    if (count > 0) print "    ;"
    names[++count] = name_of(FILENAME)
    print "static const char asset_" count "[] ="
}
{ gsub(/\\/, "&&"); gsub(/"/, "\\\""); gsub(/\?/, "\\?"); print "    \"" $0 "\\n\"" }
END {
    if (count > 0) print "    ;"
    print "const struct asset page_assets[] = {"
    for (i = 1; i <= count; i++) {
        ending = names[i]; sub(/.*\./, "", ending)
        if (!(ending in types)) { print "embed_assets.awk: what type has " names[i] "?" > "/dev/stderr"; exit 1 }
        printf "    {\"%s\", \"%s\", {asset_%d, sizeof asset_%d - 1}},\n", names[i], types[ending], i, i
    }
    print "    {0}};"
}
