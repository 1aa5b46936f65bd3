/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core that an SPDK polls on, see env.h.
 *
 * SPDK takes the first core when it is not told another, locks it, and leaves when another SPDK
 * holds it, so that the second target of a node would never start.
 *
 * Threading: as driver.h.
 */
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

void env_core_plan(const struct probe *probe, const char *arguments, const struct environment *old,
		   bool can_share, char out[static ENV_CORE_SIZE])
{
	unsigned int core, first = CPU_SETSIZE;
	bool found = find_core(old, &core);
	cpu_set_t allowed;

	out[0] = '\0';
	if (operator_chose(arguments, old, found) ||
	    sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return;
	/* What is to be replaced holds its own. */
	found = found && core < CPU_SETSIZE && CPU_ISSET(core, &allowed);
	for (unsigned int i = 0; i < CPU_SETSIZE && !found; i++) {
		if (!CPU_ISSET(i, &allowed))
			continue;
		if (first == CPU_SETSIZE)
			first = i;
		core = i;
		found = probe_core_holder(probe, i) == 0;
	}
	snprintf(out, ENV_CORE_SIZE, CORE_OPTION "%u]\n%s", found ? core : first,
		 found || !can_share ? "" : "--disable-cpumask-locks\n");
}

void env_core_keep(const struct environment *e, char out[static ENV_CORE_SIZE])
{
	unsigned int core;

	out[0] = '\0';
	if (find_core(e, &core))
		snprintf(out, ENV_CORE_SIZE, CORE_OPTION "%u]\n", core);
}
