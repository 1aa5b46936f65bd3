/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One round of the agent: status, recovery of what is not as recorded, samples, texts for the
 * board.
 *
 * Threading: the agent's main thread.
 */
#ifndef AGENT_LOOK_H
#define AGENT_LOOK_H

#include "agent/agent.h"
#include "agent/board.h"
#include "driver/driver.h"

#define LOOK_CALL_NS (5 * NS_PER_SEC) /* for a call to a target */
#define LOOK_LOCK_NS (NS_PER_SEC / 5) /* for the state's lock: who has it is at work there */

/**
 * struct look - what lasts from one round to the next
 * @recover: false: only tell
 */
struct look {
	struct driver *d;
	struct board *board;
	bool recover;
	struct patient *patients;
	struct metrics_agent figures;
	uint64_t pinged_ns, watchdog_ns;
	char failure[ERROR_TEXT_MAX]; /* of the last status; told once */
};

/** look_round() - look once; never fails, what goes wrong is told and published */
void look_round(struct look *l);
void look_fini(struct look *l);
/** look_ping() - WATCHDOG=1 when it is time; also called inside a round */
void look_ping(struct look *l);

#endif
