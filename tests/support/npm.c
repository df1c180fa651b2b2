/* Fetches packages of Node.js once for each version of their package.json. */
#include "tests/support/npm.h"

#include "tests/support/process.h"

#define INSTALL_MS 300000

/* $1: the name, $2: the folder. Prints where the packages are. */
static const char install_script[] =
    "set -eu\n"
    "command -v node >/dev/null || { echo 'no node' >&2; exit 69; }\n"
    "command -v npm >/dev/null || { echo 'no npm' >&2; exit 69; }\n"
    "least=$(sed -n 's/.*\"node\": \">=\\([0-9]*\\)\".*/\\1/p' \"$2/package.json\")\n"
    "[ \"$(node -p 'parseInt(process.versions.node)')\" -ge \"$least\" ] ||\n"
    "    { echo \"node is older than $least\" >&2; exit 69; }\n"
    "folder=${XDG_CACHE_HOME:-$HOME/.cache}/keepstep/$1\n"
    "mkdir -p \"$folder\"\n"
    "exec 9>\"$folder/lock\"\n"
    "flock 9\n"
    "wanted=$(cat \"$2\"/package*.json | sha256sum)\n"
    "if [ \"$(cat \"$folder/complete\" 2>/dev/null)\" != \"$wanted\" ]; then\n"
    "    rm -rf \"$folder/node_modules\" \"$folder\"/package*.json\n"
    "    cp \"$2\"/package*.json \"$folder\"\n"
    "    cd \"$folder\"\n"
    "    npm install --ignore-scripts --no-audit --no-fund >npm.log 2>&1 9>&- || {\n"
    "        echo \"npm install failed: $(grep -m 1 'npm error' npm.log)\" >&2; exit 69; }\n"
    "    echo \"$wanted\" >complete\n"
    "fi\n"
    "printf %s \"$folder/node_modules\"\n";

const char *npm_or_skip(const char *name, const char *folder)
{
    const char *const argv[] = {"sh", "-c", install_script, "npm", name, folder, NULL};
    return test_format("NODE_PATH=%s", process_download(name, argv, INSTALL_MS).output);
}

const char *npm_modules(const char *node_path)
{
    return node_path + strlen("NODE_PATH=");
}
