/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as methods that make it again, in an order that loads: options, transports,
 * subsystems, their hosts, namespaces, and listeners last, so that no host connects before all is
 * there.
 *
 * Threading: reactor 0.
 */
#include <stdio.h>
#include <string.h>

#include "nvme/dhchap.h"
#include "nvmf/json.h"

/* Append a method; targets other than the default one are named. */
static void add(json_t *array, const struct nvmf_target *tgt, const char *method, json_t *params)
{
	if (tgt && strcmp(tgt->name, NVMF_DEFAULT_TARGET) != 0)
		json_object_set_new(params, "tgt_name", json_string(tgt->name));
	json_array_append_new(array, json_pack("{s:s, s:o}", "method", method, "params", params));
}

static json_t *filter_json(uint32_t filter)
{
	char text[64];

	if (filter == 0)
		return json_string("match_any");
	snprintf(text, sizeof(text), "%s%s%s", filter & NVMF_FILTER_TRTYPE ? ",transport" : "",
		 filter & NVMF_FILTER_TRADDR ? ",address" : "",
		 filter & NVMF_FILTER_TRSVCID ? ",svcid" : "");
	return json_string(text + 1);
}

static json_t *names_json(uint32_t bits, const char *(*name_of)(uint8_t id))
{
	json_t *array = json_array();

	for (uint8_t id = 0; id < 32; id++) {
		if (bits & UINT32_C(1) << id)
			json_array_append_new(array, json_string(name_of(id)));
	}
	return array;
}

static void save_options(const struct nvmf_target *tgt, json_t *array)
{
	const struct nvmf_target_options *o = &tgt->opts;

	if (strcmp(tgt->name, NVMF_DEFAULT_TARGET) != 0) {
		json_array_append_new(
			array, json_pack("{s:s, s:{s:s, s:I, s:o}}", "method", "nvmf_create_target",
					 "params", "name", tgt->name, "max_subsystems",
					 (json_int_t)o->max_subsystems, "discovery_filter",
					 filter_json(o->discovery_filter)));
		return;
	}
	add(array, NULL, "nvmf_set_config",
	    json_pack("{s:o, s:o, s:o}", "discovery_filter", filter_json(o->discovery_filter),
		      "dhchap_digests", names_json(o->dhchap_hashes, nvme_dhchap_hash_name),
		      "dhchap_dhgroups", names_json(o->dhchap_groups, nvme_dhchap_group_name)));
	add(array, NULL, "nvmf_set_max_subsystems",
	    json_pack("{s:I}", "max_subsystems", (json_int_t)o->max_subsystems));
	add(array, NULL, "nvmf_set_crdt",
	    json_pack("{s:I, s:I, s:I}", "crdt1", (json_int_t)o->crdt[0], "crdt2",
		      (json_int_t)o->crdt[1], "crdt3", (json_int_t)o->crdt[2]));
}

static void save_subsystem(const struct nvmf_subsystem *s, json_t *array)
{
	add(array, s->tgt, "nvmf_create_subsystem",
	    json_pack("{s:s, s:b, s:s, s:s, s:I, s:i, s:i, s:b, s:I, s:i}", "nqn", s->nqn,
		      "allow_any_host", s->allow_any_host, "serial_number", s->serial,
		      "model_number", s->model, "max_namespaces", (json_int_t)s->max_namespaces,
		      "min_cntlid", s->min_cntlid, "max_cntlid", s->max_cntlid, "ana_reporting",
		      s->ana_reporting, "dmrsl", (json_int_t)s->dmrsl, "wzsl", s->wzsl));
}

/* Lists are newest first: what is saved backwards loads into the same order. */
static void save_hosts(const struct nvmf_subsystem *s, json_t *array)
{
	const struct nvmf_host *host;

	TAILQ_FOREACH_REVERSE(host, &s->hosts, nvmf_hosts, link)
	{
		json_t *params = json_pack("{s:s, s:s}", "nqn", s->nqn, "host", host->nqn);

		if (host->psk)
			json_object_set_new(params, "psk", json_string(host->psk_name));
		nvmf_host_put_dhchap(host, params);
		add(array, s->tgt, "nvmf_subsystem_add_host", params);
	}
}

static void save_ns(const struct nvmf_ns *ns, json_t *array)
{
	const struct nvmf_subsystem *s = ns->subsystem;
	json_t *object = json_pack("{s:I, s:s}", "nsid", (json_int_t)ns->nsid, "bdev_name",
				   bdev_name(bdev_of(ns->desc)));

	if (ns->ptpl_file)
		json_object_set_new(object, "ptpl_file", json_string(ns->ptpl_file));
	nvmf_ns_put_ids(ns, object);
	if (s->ana_reporting)
		json_object_set_new(object, "anagrpid", json_integer(ns->anagrpid));
	json_object_set_new(object, "no_auto_visible", json_boolean(ns->no_auto_visible));
	if (ns->hide_metadata)
		json_object_set_new(object, "hide_metadata", json_true());
	add(array, s->tgt, "nvmf_subsystem_add_ns",
	    json_pack("{s:s, s:o}", "nqn", s->nqn, "namespace", object));
	for (uint32_t i = 0; ns->visible && i < ns->visible->count; i++)
		add(array, s->tgt, "nvmf_ns_add_host",
		    json_pack("{s:s, s:I, s:s}", "nqn", s->nqn, "nsid", (json_int_t)ns->nsid,
			      "host", ns->visible->nqn[i]));
}

static void save_listeners(const struct nvmf_subsystem *s, json_t *array)
{
	const struct nvmf_listener *l;

	TAILQ_FOREACH_REVERSE(l, &s->listeners, nvmf_listeners, link)
	{
		json_t *params = json_pack("{s:s, s:o, s:b}", "nqn", s->nqn, "listen_address",
					   nvmf_listener_address_json(l), "secure_channel",
					   l->secure_channel);

		if (s->ana_reporting && strcmp(l->ana_state, "optimized") != 0)
			json_object_set_new(params, "ana_state", json_string(l->ana_state));
		add(array, s->tgt, "nvmf_subsystem_add_listener", params);
	}
}

static void save_target(struct nvmf_target *tgt, json_t *array)
{
	const struct nvmf_subsystem *s;
	const struct nvmf_referral *r;

	save_options(tgt, array);
	if (tgt->has_tcp)
		add(array, tgt, "nvmf_create_transport", nvmf_transport_json(tgt));
	TAILQ_FOREACH_REVERSE(r, &tgt->referrals, nvmf_referrals, link)
	add(array, tgt, "nvmf_discovery_add_referral", nvmf_referral_to_json(r));
	TAILQ_FOREACH (s, &tgt->subsystems, link) {
		if (!s->is_discovery && !s->deleting)
			save_subsystem(s, array);
	}
	TAILQ_FOREACH (s, &tgt->subsystems, link) {
		if (s->deleting)
			continue;
		save_hosts(s, array);
		for (uint32_t i = 0; i < s->ns_slots; i++) {
			if (s->ns[i])
				save_ns(s->ns[i], array);
		}
	}
	TAILQ_FOREACH (s, &tgt->subsystems, link) {
		if (!s->deleting)
			save_listeners(s, array);
	}
}

void nvmf_save_config(json_t *array)
{
	for (struct nvmf_target *tgt = nvmf_target_first(); tgt; tgt = nvmf_target_next(tgt))
		save_target(tgt, array);
}
