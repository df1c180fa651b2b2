/* Packages of Node.js for tests, fetched once. */
#ifndef TESTS_SUPPORT_NPM_H
#define TESTS_SUPPORT_NPM_H

/** Fetch what FOLDER/package.json names, as FOLDER/package-lock.json fixes it where there is one.
 * It is kept in the user's cache, under `name`. Skips the test where there is no Node.js or npm, or
 * where a package cannot be had. @return "NODE_PATH=…" for `node`. */
const char *npm_or_skip(const char *name, const char *folder);

/** @return where they are: what NODE_PATH says. */
const char *npm_modules(const char *node_path);

#endif
