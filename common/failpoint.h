/* Crash points for tests: the process kills or stops itself where KEEPSTEP_FAILPOINT says so. And
 * rules that a test switches off, to show that it would notice. */
#ifndef COMMON_FAILPOINT_H
#define COMMON_FAILPOINT_H

#include <stdbool.h>
#include <stddef.h>

/* clang-format off */
#define FAILPOINT_LIST(X)                                                                          \
    X(RELAY_BEFORE_CLAIM, "relay_before_claim")                                                    \
    X(RELAY_AFTER_CLAIM, "relay_after_claim")                                                      \
    X(RELAY_AFTER_PUBLISH, "relay_after_publish")                                                  \
    X(RELAY_BEFORE_ACKNOWLEDGE, "relay_before_acknowledge")                                        \
    X(RELAY_AFTER_ACKNOWLEDGE, "relay_after_acknowledge")                                          \
    X(RELAY_AFTER_PURGE, "relay_after_purge")                                                      \
    X(RELAY_LOAD_ORDERED, "relay_load_ordered")                                                    \
    X(RELAY_BEFORE_LOAD, "relay_before_load")                                                      \
    X(RELAY_AFTER_LOAD, "relay_after_load")                                                        \
    X(RELAY_LOAD_TAKEN, "relay_load_taken")                                                        \
    X(AGENT_AFTER_TAKE, "agent_after_take")                                                        \
    X(AGENT_BEFORE_BEGIN, "agent_before_begin")                                                    \
    X(AGENT_AFTER_BEGIN, "agent_after_begin")                                                      \
    X(AGENT_AFTER_APPLY, "agent_after_apply")                                                      \
    X(AGENT_BEFORE_COMMIT, "agent_before_commit")                                                  \
    X(AGENT_AFTER_COMMIT, "agent_after_commit")                                                    \
    X(AGENT_BEFORE_HAND_OVER, "agent_before_hand_over")                                            \
    X(AGENT_AFTER_HAND_OVER, "agent_after_hand_over")                                              \
    X(AGENT_READER_AFTER_FILL, "agent_reader_after_fill")                                          \
    X(AGENT_BEFORE_TAKE_BACK, "agent_before_take_back")                                            \
    X(AGENT_AFTER_TAKE_BACK, "agent_after_take_back")                                              \
    X(AGENT_BEFORE_HINT, "agent_before_hint")                                                      \
    X(AGENT_AFTER_HINT, "agent_after_hint")                                                        \
    X(AGENT_PARKED_BEFORE_COMMIT, "agent_parked_before_commit")                                    \
    X(AGENT_PARKED_AFTER_COMMIT, "agent_parked_after_commit")                                      \
    X(AGENT_STOP_RECORDED, "agent_stop_recorded")                                                  \
    X(AGENT_LARGE_READ, "agent_large_read")                                                        \
    X(AGENT_LARGE_WRITTEN, "agent_large_written")                                                  \
    X(VERIFY_ASKED, "verify_asked")                                                                \
    X(VERIFY_ANSWERED, "verify_answered")                                                          \
    X(VERIFY_STAMPED, "verify_stamped")                                                            \
    X(REPAIR_BEFORE_BEGIN, "repair_before_begin")                                                  \
    X(REPAIR_AFTER_BEGIN, "repair_after_begin")                                                    \
    X(REPAIR_BEFORE_WRITE, "repair_before_write")                                                  \
    X(PUBLISH_KEY_BEFORE_COMMIT, "publish_key_before_commit")                                      \
    X(PUBLISH_KEY_AFTER_COMMIT, "publish_key_after_commit")                                        \
    X(FILL_BEFORE_ASK, "fill_before_ask")                                                          \
    X(FILL_AFTER_ASK, "fill_after_ask")                                                            \
    X(FILL_BEFORE_MARK, "fill_before_mark")                                                        \
    X(FILL_AFTER_MARK, "fill_after_mark")                                                          \
    X(FILL_BEFORE_CLEAR, "fill_before_clear")                                                      \
    X(FILL_AFTER_CLEAR, "fill_after_clear")                                                        \
    X(FILL_BEFORE_INSTALL, "fill_before_install")                                                  \
    X(FILL_AFTER_INSTALL, "fill_after_install")                                                    \
    X(FILL_BEFORE_ROWS, "fill_before_rows")                                                        \
    X(FILL_AFTER_ROWS, "fill_after_rows")                                                          \
    X(FILL_BEFORE_END, "fill_before_end")                                                          \
    X(FILL_AFTER_END, "fill_after_end")                                                            \
    X(FILL_BEFORE_HAND_OVER, "fill_before_hand_over")                                              \
    X(FILL_AFTER_HAND_OVER, "fill_after_hand_over")                                                \
    X(FILL_BEFORE_TAKE_BACK, "fill_before_take_back")                                              \
    X(FILL_BEFORE_CANCEL, "fill_before_cancel")                                                    \
    X(FILL_AFTER_CANCEL, "fill_after_cancel")                                                      \
    X(FILL_SOURCE_BEGUN, "fill_source_begun")                                                      \
    X(FILL_SOURCE_ROW, "fill_source_row")                                                          \
    X(FILL_SOURCE_BEFORE_END, "fill_source_before_end")                                            \
    X(FILL_SOURCE_AFTER_END, "fill_source_after_end")                                              \
    X(JOINT_BEFORE_NOTE, "joint_before_note")                                                      \
    X(JOINT_AFTER_NOTE, "joint_after_note")                                                        \
    X(JOINT_BEFORE_VOTE, "joint_before_vote")                                                      \
    X(JOINT_AFTER_VOTE, "joint_after_vote")                                                        \
    X(JOINT_BEFORE_DECISION, "joint_before_decision")                                              \
    X(JOINT_AFTER_DECISION, "joint_after_decision")                                                \
    X(JOINT_BEFORE_SETTLE, "joint_before_settle")                                                  \
    X(JOINT_AFTER_SETTLE, "joint_after_settle")                                                    \
    X(JOINT_BEFORE_ROW, "joint_before_row")                                                        \
    X(JOINT_AFTER_ROW, "joint_after_row")                                                          \
    X(JOINT_BEFORE_POSITION, "joint_before_position")                                              \
    X(JOINT_AFTER_POSITION, "joint_after_position")

/* Of joint transactions, by the names of their model (rules 66, 62, 68, 69). */
#define FAILPOINT_RULE_LIST(X)                                                                     \
    X(NO_GUARD, "no_guard")                                                                        \
    X(VOTE_APART, "vote_apart")                                                                    \
    X(CLOCK, "clock")                                                                              \
    X(NO_CATCHUP, "no_catchup")
/* clang-format on */

#define FAILPOINT_MEMBER(constant, name) FAILPOINT_##constant,
enum failpoint_point { FAILPOINT_LIST(FAILPOINT_MEMBER) FAILPOINT_COUNT };
#undef FAILPOINT_MEMBER

#define FAILPOINT_RULE_MEMBER(constant, name) FAILPOINT_##constant,
enum failpoint_rule { FAILPOINT_RULE_LIST(FAILPOINT_RULE_MEMBER) FAILPOINT_RULE_COUNT };
#undef FAILPOINT_RULE_MEMBER

/** All FAILPOINT_COUNT names, in the order of the enum. Every build has them. */
extern const char *const failpoint_names[];

#ifdef KEEPSTEP_FAILPOINTS
/** Pass a crash point. KEEPSTEP_FAILPOINT="name[:nth][:stop]" raises SIGKILL at the nth pass
 * (default 1), or SIGSTOP with ":stop". A misspelt name ends the process at the first pass, so that
 * no test passes by mistake. @thread any. */
void failpoint(enum failpoint_point point);

/** @return whether KEEPSTEP_RULE_OFF names this rule. A misspelt name ends the process. @thread
 * any. */
bool failpoint_rule_is_off(enum failpoint_rule rule);
#else
#define failpoint(point)            ((void)0)
#define failpoint_rule_is_off(rule) false
#endif

#endif
