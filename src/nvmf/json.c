/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is, as SPDK's get methods spell it.
 *
 * Threading: reactor 0.
 */
#include "nvmf/json.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/container_of.h"
#include "nvmf/auth.h"

json_t *nvmf_address_json(const char *trtype, const char *adrfam, const char *traddr,
			  const char *trsvcid)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "trtype", trtype, "adrfam", adrfam, "traddr",
			 traddr, "trsvcid", trsvcid);
}

json_t *nvmf_listener_address_json(const struct nvmf_listener *listener)
{
	return nvmf_address_json("TCP", listener->adrfam, listener->traddr, listener->trsvcid);
}

/* --- subsystems ------------------------------------------------------------------------------- */

static void put_hex(json_t *object, const char *name, const uint8_t *bytes, size_t len)
{
	char text[2 * 16 + 1];

	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02X", bytes[i]);
	json_object_set_new(object, name, json_string(text));
}

void nvmf_ns_put_ids(const struct nvmf_ns *ns, json_t *object)
{
	char uuid[UUID_TEXT_SIZE];

	put_hex(object, "nguid", ns->nguid, sizeof(ns->nguid));
	if (ns->has_eui64)
		put_hex(object, "eui64", ns->eui64, sizeof(ns->eui64));
	uuid_to_text(&ns->uuid, uuid);
	json_object_set_new(object, "uuid", json_string(uuid));
}

static json_t *ns_json(const struct nvmf_subsystem *s, const struct nvmf_ns *ns)
{
	const char *name = bdev_name(bdev_of(ns->desc));
	json_t *object = json_pack("{s:I, s:s, s:s}", "nsid", (json_int_t)ns->nsid, "bdev_name",
				   name, "name", name);

	nvmf_ns_put_ids(ns, object);
	if (s->ana_reporting)
		json_object_set_new(object, "anagrpid", json_integer(ns->anagrpid));
	return object;
}

static json_t *namespaces_json(const struct nvmf_subsystem *s)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < s->ns_slots; i++) {
		if (s->ns[i])
			json_array_append_new(array, ns_json(s, s->ns[i]));
	}
	return array;
}

static json_t *hosts_json(const struct nvmf_subsystem *s)
{
	json_t *array = json_array();
	const struct nvmf_host *host;

	TAILQ_FOREACH (host, &s->hosts, link) {
		json_t *object = json_pack("{s:s}", "nqn", host->nqn);

		nvmf_host_put_dhchap(host, object);
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *listen_addresses_json(const struct nvmf_subsystem *s)
{
	json_t *array = json_array();
	const struct nvmf_listener *listener;

	TAILQ_FOREACH (listener, &s->listeners, link)
		json_array_append_new(array, nvmf_listener_address_json(listener));
	return array;
}

json_t *nvmf_subsystem_to_json(const struct nvmf_subsystem *s)
{
	json_t *object = json_pack("{s:s, s:s, s:o, s:b, s:o}", "nqn", s->nqn, "subtype",
				   s->is_discovery ? "Discovery" : "NVMe", "listen_addresses",
				   listen_addresses_json(s), "allow_any_host", s->allow_any_host,
				   "hosts", hosts_json(s));

	if (s->is_discovery)
		return object;
	json_object_set_new(object, "serial_number", json_string(s->serial));
	json_object_set_new(object, "model_number", json_string(s->model));
	json_object_set_new(object, "max_namespaces", json_integer(s->max_namespaces));
	json_object_set_new(object, "passthrough", json_false());
	json_object_set_new(object, "min_cntlid", json_integer(s->min_cntlid));
	json_object_set_new(object, "max_cntlid", json_integer(s->max_cntlid));
	json_object_set_new(object, "dmrsl", json_integer(s->dmrsl));
	json_object_set_new(object, "wzsl", json_integer(s->wzsl));
	json_object_set_new(object, "namespaces", namespaces_json(s));
	return object;
}

json_t *nvmf_subsystem_listeners_to_json(const struct nvmf_subsystem *s)
{
	json_t *array = json_array();
	const struct nvmf_listener *listener;

	TAILQ_FOREACH (listener, &s->listeners, link) {
		json_t *object =
			json_pack("{s:o}", "address", nvmf_listener_address_json(listener));
		json_t *states = json_array();

		for (uint32_t i = 1; s->ana_reporting && i <= s->max_namespaces; i++)
			json_array_append_new(states,
					      json_pack("{s:I, s:s}", "ana_group", (json_int_t)i,
							"ana_state", listener->ana_state));
		if (s->ana_reporting)
			json_object_set(object, "ana_states", states);
		json_decref(states);
		json_array_append_new(array, object);
	}
	return array;
}

/* --- transports ------------------------------------------------------------------------------- */

json_t *nvmf_transport_json(const struct nvmf_target *tgt)
{
	const struct nvmf_transport_options *o = &tgt->tcp;

	return json_pack(
		"{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b, s:I, s:I, s:i, s:i, s:b, "
		"s:I, s:I}",
		"trtype", "TCP", "max_queue_depth", (json_int_t)o->max_queue_depth,
		"max_io_qpairs_per_ctrlr", (json_int_t)o->max_io_qpairs, "in_capsule_data_size",
		(json_int_t)o->in_capsule_data_size, "max_io_size", (json_int_t)o->max_io_size,
		"max_aq_depth", (json_int_t)o->max_aq_depth, "iobuf_small_cache_size",
		(json_int_t)o->buf_cache_size, "iobuf_large_cache_size", (json_int_t)UINT32_MAX,
		"dif_insert_or_strip", o->dif_insert_or_strip, "zcopy", o->zcopy, "c2h_success",
		o->c2h_success, "sock_priority", (json_int_t)o->sock_priority, "abort_timeout_sec",
		(json_int_t)o->abort_timeout_sec, "ack_timeout", 0, "data_wr_pool_size", 0,
		"disable_command_passthru", false, "kas", (json_int_t)o->kas, "min_kato",
		(json_int_t)o->min_kato);
}

/* --- controllers and queue pairs: reactor 0 knows them ---------------------------------------- */

struct later {
	struct reactor_msg msg;
	nvmf_json_done *done;
	void *arg;
	json_t *json;
};

static void answer(struct reactor_msg *msg)
{
	struct later *later = container_of(msg, struct later, msg);

	later->done(later->arg, later->json);
	free(later);
}

static void answer_later(nvmf_json_done *done, void *arg, json_t *json)
{
	struct later *later = calloc(1, sizeof(*later));

	if (!later) {
		done(arg, json);
		return;
	}
	later->msg.fn = answer;
	later->done = done;
	later->arg = arg;
	later->json = json;
	reactor_send(reactor_self(), &later->msg);
}

/* What a host calls itself may be anything; JSON is UTF-8, so other bytes show as '?'. */
static json_t *host_name_json(const char *hostnqn)
{
	json_t *text = json_string(hostnqn);
	char ascii[NVME_NQN_FIELD];
	size_t i;

	if (text)
		return text;
	for (i = 0; i + 1 < sizeof(ascii) && hostnqn[i]; i++)
		ascii[i] = (unsigned char)hostnqn[i] < 0x80 ? hostnqn[i] : '?';
	ascii[i] = 0;
	return json_string(ascii);
}

static json_t *ctrlr_json(const struct nvmf_ctrlr *ctrlr)
{
	char hostid[UUID_TEXT_SIZE];

	uuid_to_text((const struct uuid *)(const void *)ctrlr->hostid, hostid);
	return json_pack("{s:i, s:s, s:o, s:s, s:I}", "cntlid", ctrlr->cntlid, "cntrltype",
			 ctrlr->subsystem->is_discovery ? "discovery" : "io", "hostnqn",
			 host_name_json(ctrlr->hostnqn), "hostid", hostid, "num_io_qpairs",
			 (json_int_t)ctrlr->mgr.queue_count - (ctrlr->mgr.queues[0] ? 1 : 0));
}

void nvmf_subsystem_controllers_get(struct nvmf_subsystem *s, nvmf_json_done *done, void *arg)
{
	json_t *array = json_array();
	const struct nvmf_ctrlr *ctrlr;

	TAILQ_FOREACH (ctrlr, &s->ctrlrs, link)
		json_array_append_new(array, ctrlr_json(ctrlr));
	answer_later(done, arg, array);
}

static json_t *addr_json(const struct net_addr *addr)
{
	char host[NET_ADDR_TEXT], port[8];

	net_addr_host(addr, host, sizeof(host));
	snprintf(port, sizeof(port), "%u", net_addr_port(addr));
	return nvmf_address_json("TCP", addr->ss.ss_family == AF_INET6 ? "IPv6" : "IPv4", host,
				 port);
}

static json_t *qpair_json(const struct nvmf_ctrlr *ctrlr, const struct nvmf_conn *conn)
{
	json_t *object;
	char thread[32];

	snprintf(thread, sizeof(thread), "nvmf_tgt_poll_group_%03u", conn->group->index);
	object = json_pack("{s:i, s:i, s:s, s:s, s:o, s:o, s:o}", "cntlid", ctrlr->cntlid, "qid",
			   conn->mgr.qid, "state", "enabled", "thread", thread, "hostnqn",
			   host_name_json(ctrlr->hostnqn), "listen_address",
			   addr_json(&conn->local), "peer_address", addr_json(&conn->peer));
	nvmf_auth_put(conn, object);
	return object;
}

void nvmf_subsystem_qpairs_get(struct nvmf_subsystem *s, nvmf_json_done *done, void *arg)
{
	json_t *array = json_array();
	const struct nvmf_ctrlr *ctrlr;

	TAILQ_FOREACH (ctrlr, &s->ctrlrs, link) {
		for (uint32_t qid = 0; qid <= s->tgt->tcp.max_io_qpairs; qid++) {
			if (ctrlr->mgr.queues[qid])
				json_array_append_new(array,
						      qpair_json(ctrlr, ctrlr->mgr.queues[qid]));
		}
	}
	answer_later(done, arg, array);
}
