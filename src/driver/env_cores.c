/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core that an SPDK polls on, see env.h.
 *
 * SPDK takes the first core when it is not told another, locks it, and leaves when another SPDK
 * holds it, so that the second target of a node would never start. A core is chosen here, and not
 * locked: what is recorded must come up again, whoever has taken the core in the meantime.
 *
 * Threading: as driver.h.
 */
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "driver/env.h"

#define CORE_OPTION "-m\n["

static bool names_cores(const char *arguments)
{
	static const char *const options[] = { "-m", "--cpumask", "--lcores" };

	for (const char *line = arguments; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
			if (!strncmp(line, options[i], strlen(options[i])))
				return true;
		}
	}
	return false;
}

static bool find_core(const struct environment *e, unsigned int *core)
{
	const char *at = e ? strstr(e->arguments, CORE_OPTION) : NULL;

	return at && sscanf(at + strlen(CORE_OPTION), "%u]", core) == 1;
}

/* By arguments that are given now, or by those that the old target has and keeps. */
static bool operator_chose(const char *arguments, const struct environment *old, bool found)
{
	return arguments ? names_cores(arguments) : old && old->memory != ENV_MEMORY_OWN && !found;
}

void env_core_note(const struct environment *e, unsigned int taken[static CPU_SETSIZE])
{
	unsigned int core;

	if (find_core(e, &core) && core < CPU_SETSIZE)
		taken[core]++;
}

void env_core_plan(const struct probe *probe, const char *arguments, const struct environment *old,
		   const unsigned int taken[static CPU_SETSIZE], bool can_do_without_lock,
		   char out[static ENV_CORE_SIZE])
{
	unsigned int core = 0, least = UINT_MAX, kept;
	bool found = find_core(old, &kept);
	cpu_set_t allowed;

	out[0] = '\0';
	if (operator_chose(arguments, old, found) ||
	    sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return;
	for (unsigned int i = 0; i < CPU_SETSIZE && least > 0; i++) {
		unsigned int others;

		if (!CPU_ISSET(i, &allowed))
			continue;
		others = taken[i] + (probe_core_holder(probe, i) != 0);
		if (others < least) {
			least = others;
			core = i;
		}
	}
	if (found && kept < CPU_SETSIZE && CPU_ISSET(kept, &allowed))
		core = kept;
	snprintf(out, ENV_CORE_SIZE, CORE_OPTION "%u]\n%s", core,
		 can_do_without_lock ? "--disable-cpumask-locks\n" : "");
}

void env_core_keep(const struct environment *e, char out[static ENV_CORE_SIZE])
{
	unsigned int core;

	out[0] = '\0';
	if (find_core(e, &core))
		snprintf(out, ENV_CORE_SIZE, CORE_OPTION "%u]\n", core);
}
