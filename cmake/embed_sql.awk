# Turns SQL files with headings such as "-- name: fence" into a C header of string constants:
#   awk -v guard=NAME -f embed_sql.awk FILE... > HEADER
function finish() { if (name != "") print ";" }
BEGIN { print "/* Generated from .sql files. */"; print "#ifndef " guard; print "#define " guard }
/^-- name: / {
    finish(); name = $3; constant = toupper(name); gsub(/[^A-Z0-9]/, "_", constant)
    print "__attribute__((unused)) static const char SQL_" constant "[] ="
    next
}
name == "" || /^--/ { next }
{ gsub(/\\/, "&&"); gsub(/"/, "\\\""); print "    \"" $0 "\\n\"" }
END { finish(); print "#endif" }
