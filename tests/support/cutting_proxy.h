/* A proxy on loopback that cuts a database connection at a word that the client sends: before the
 * server has read it, or after the server has answered and before the client reads the answer. */
#ifndef TESTS_SUPPORT_CUTTING_PROXY_H
#define TESTS_SUPPORT_CUTTING_PROXY_H

#include "tests/support/test.h"

enum proxy_cut { PROXY_PASS, PROXY_CUT_BEFORE, PROXY_CUT_AFTER };

/** Start a proxy for a server's port. @return the server's URL with the proxy's port. */
const char *cutting_proxy_start(const char *url);

/** Cut the connection at the next `word` that a client sends. */
void cutting_proxy_cut(enum proxy_cut cut, const char *word);

void cutting_proxy_stop(void);

#endif
