/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When an accelerator that is not as recorded shall be recovered, and when it is left alone for a
 * while because that did not help.
 *
 * Threading: one thread.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"

struct patient *patient_of(struct patient **list, const char *id)
{
	struct patient *p;

	for (p = *list; p; p = p->next) {
		if (!strcmp(p->id, id))
			return p;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	snprintf(p->id, sizeof(p->id), "%s", id);
	p->next = *list;
	*list = p;
	return p;
}

static bool is_listed(const json_t *accelerators, const char *id)
{
	const json_t *a;
	size_t i;

	json_array_foreach (accelerators, i, a) {
		const char *name = json_string_value(json_object_get(a, "id"));

		if (name && !strcmp(name, id))
			return true;
	}
	return false;
}

void patients_keep(struct patient **list, const json_t *accelerators)
{
	for (struct patient **at = list; *at;) {
		struct patient *p = *at;

		if (is_listed(accelerators, p->id)) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		free(p);
	}
}

void patients_free(struct patient **list)
{
	patients_keep(list, NULL);
}

bool patient_look(struct patient *p, const json_t *accelerator, uint64_t now_ns)
{
	const char *health = json_string_value(json_object_get(accelerator, "health"));
	const json_t *drift = json_object_get(accelerator, "drift");
	const char *first = json_string_value(json_array_get(drift, 0));

	p->sick = !health || strcmp(health, "ok") != 0 || json_array_size(drift) > 0;
	if (!p->sick) {
		p->pause_ns = p->next_ns = 0;
		p->reason[0] = '\0';
		return false;
	}
	snprintf(p->reason, sizeof(p->reason), "%s", first ? first : health ? health : "no answer");
	return now_ns >= p->next_ns;
}

void patient_tried(struct patient *p, bool helped, uint64_t now_ns)
{
	p->tries++;
	if (helped) {
		p->recoveries++;
		p->sick = false;
		p->pause_ns = p->next_ns = 0;
		return;
	}
	p->pause_ns = p->pause_ns == 0				  ? RECONCILE_PAUSE_MIN_NS
		      : p->pause_ns >= RECONCILE_PAUSE_MAX_NS / 2 ? RECONCILE_PAUSE_MAX_NS
								  : p->pause_ns * 2;
	p->next_ns = now_ns + p->pause_ns;
}
