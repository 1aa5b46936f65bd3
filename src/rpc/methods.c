/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which methods there are, under which names, and which of them answer now.
 *
 * Threading: reactor 0; areas and the list of allowed methods are set at start.
 */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/rpc.h"

/**
 * struct method_name - a name in the tree
 * @allowed: by rpc_methods_allow(); kept at the method's own name
 */
struct method_name {
	const char *name;
	const struct rpc_method *method;
	bool allowed;
};

static struct {
	void *tree;
	struct rpc_area *first, **last;
	bool restricted;
	unsigned int state;
} methods = { .last = &methods.first, .state = RPC_STARTUP };

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct method_name *)a)->name, ((const struct method_name *)b)->name);
}

static struct method_name *find(const char *name)
{
	struct method_name key = { .name = name };
	struct method_name **found = tfind(&key, &methods.tree, compare);

	return found ? *found : NULL;
}

static void add_name(const char *name, const struct rpc_method *method)
{
	struct method_name *entry = calloc(1, sizeof(*entry));
	struct method_name **slot;

	if (!entry)
		abort();
	entry->name = name;
	entry->method = method;
	slot = tsearch(entry, &methods.tree, compare);
	/* Two methods of one name: a programmer's error, found by every start. */
	if (!slot || *slot != entry)
		abort();
}

void rpc_area_add(struct rpc_area *area)
{
	area->next = NULL;
	*methods.last = area;
	methods.last = &area->next;
	for (size_t i = 0; i < area->count; i++) {
		const struct rpc_method *method = &area->methods[i];

		add_name(method->name, method);
		for (unsigned int a = 0; a < RPC_ALIASES_MAX && method->aliases[a]; a++)
			add_name(method->aliases[a], method);
	}
}

void rpc_methods_free(void)
{
	while (methods.tree) {
		struct method_name *entry = *(struct method_name **)methods.tree;

		tdelete(entry, &methods.tree, compare);
		free(entry);
	}
	methods.first = NULL;
	methods.last = &methods.first;
	methods.restricted = false;
	methods.state = RPC_STARTUP;
}

static bool is_allowed(const struct rpc_method *method)
{
	return !methods.restricted || find(method->name)->allowed;
}

const struct rpc_method *rpc_method_find(const char *name)
{
	const struct method_name *entry = find(name);

	return entry && is_allowed(entry->method) ? entry->method : NULL;
}

int rpc_methods_allow(const char *list, struct error *err)
{
	char *copy = strdup(list), *rest = copy, *name;
	int rc = 0;

	if (!copy)
		return error_set(err, -ENOMEM, "no memory for the list of allowed methods");
	while (rc == 0 && (name = strsep(&rest, ",")) != NULL) {
		struct method_name *entry = find(name);

		if (entry)
			find(entry->method->name)->allowed = true;
		else
			rc = error_set(
				err, -EINVAL,
				"\"%s\" is no method of this target; rpc_get_methods lists them",
				name);
	}
	free(copy);
	methods.restricted = true;
	return rc;
}

unsigned int rpc_state(void)
{
	return methods.state;
}

void rpc_state_set(unsigned int state)
{
	methods.state = state;
}

json_t *rpc_methods_to_json(bool current, bool aliases)
{
	json_t *names = json_array();

	for (const struct rpc_area *area = methods.first; area; area = area->next) {
		for (size_t i = 0; i < area->count; i++) {
			const struct rpc_method *method = &area->methods[i];

			if (!is_allowed(method) || (current && !(method->states & methods.state)))
				continue;
			json_array_append_new(names, json_string(method->name));
			for (unsigned int a = 0;
			     aliases && a < RPC_ALIASES_MAX && method->aliases[a]; a++)
				json_array_append_new(names, json_string(method->aliases[a]));
		}
	}
	return names;
}
