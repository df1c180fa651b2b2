# Turns a text file into a C array of its lines: awk -v name=NAME -f embed_text.awk FILE > SOURCE
BEGIN { print "/* Generated. */\nextern const char " name "[];\nconst char " name "[] =" }
{ gsub(/\\/, "&&"); gsub(/"/, "\\\""); print "    \"" $0 "\\n\"" }
END { print ";" }
