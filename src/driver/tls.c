/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a target tells of TLS in its configuration only: which listeners are secure, and which hosts
 * have a pre-shared key. It is put to what nvmf_get_subsystems answered.
 *
 * Threading: as driver.h.
 */
#include <string.h>
#include <strings.h>

#include "driver/driver.h"

static void put_listener(const json_t *subsystem, const json_t *params)
{
	const json_t *address = json_object_get(params, "listen_address");
	json_t *l;
	size_t i;

	json_array_foreach (json_object_get(subsystem, "listen_addresses"), i, l) {
		if (!strcasecmp(view_text(l, "trtype"), view_text(address, "trtype")) &&
		    !strcmp(view_text(l, "traddr"), view_text(address, "traddr")) &&
		    !strcmp(view_text(l, "trsvcid"), view_text(address, "trsvcid")))
			json_object_set(l, "secure_channel",
					json_object_get(params, "secure_channel"));
	}
}

static void put_host(const json_t *subsystem, const json_t *params)
{
	json_t *h = view_by(json_object_get(subsystem, "hosts"), "nqn", view_text(params, "host"));

	if (h)
		json_object_set(h, "psk", json_object_get(params, "psk"));
}

static void put(const struct view *v, const json_t *entry)
{
	const json_t *params = json_object_get(entry, "params");
	const json_t *s = view_by(v->subsystems, "nqn", view_text(params, "nqn"));

	if (s && !strcmp(view_text(entry, "method"), "nvmf_subsystem_add_listener"))
		put_listener(s, params);
	else if (s && !strcmp(view_text(entry, "method"), "nvmf_subsystem_add_host"))
		put_host(s, params);
}

int tls_look(struct client *c, struct view *v, const struct attachment *list, size_t n,
	     struct error *err)
{
	json_t *config = NULL, *entry;
	bool wanted = false;
	size_t i;
	int rc;

	for (i = 0; i < n; i++)
		wanted |= list[i].psk[0] != '\0';
	if (!wanted)
		return 0;
	rc = client_wait(c, "framework_get_config", json_pack("{s:s}", "name", "nvmf"), &config,
			 err);
	json_array_foreach (config, i, entry)
		put(v, entry);
	json_decref(config);
	return rc;
}
