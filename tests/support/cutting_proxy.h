/* A proxy on loopback that cuts a database's connection at a word of the client's: before the
 * server has read it, or when the server has answered and the client has not heard. */
#ifndef TESTS_SUPPORT_CUTTING_PROXY_H
#define TESTS_SUPPORT_CUTTING_PROXY_H

#include "tests/support/test.h"

enum proxy_cut { PROXY_PASS, PROXY_CUT_BEFORE, PROXY_CUT_AFTER };

/** Start one in front of a server's port; @return the URL with the proxy's port in it. */
const char *cutting_proxy_start(const char *url);

/** Cut at the next occurrence of `word` in what a client sends. */
void cutting_proxy_cut(enum proxy_cut cut, const char *word);

void cutting_proxy_stop(void);

#endif
