/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of authentication (Base 2.0, 8.13.4 and 8.13.5): between Connect and the first
 * command, for each queue pair whose controller asks for it.
 *
 *   AUTH_Negotiate -> Challenge <- Reply -> Success1 <- [Success2 ->]
 *
 * Threading: on the reactor of the queue pair.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/le.h"
#include "nvme/host_internal.h"

#define MESSAGE_MAX 1024u
#define TID	    1u

struct nvme_auth {
	struct nvme_qpair *qp;
	struct nvme_request req;
	struct iovec iov;
	void (*next)(struct nvme_auth *auth);
	uint8_t hash;
	uint32_t seq;
	uint8_t challenge[NVME_DHCHAP_HASH_MAX];
	uint8_t message[MESSAGE_MAX];
};

static void end(struct nvme_auth *auth)
{
	struct nvme_qpair *qp = auth->qp;

	free(auth);
	nvme_qpair_connected(qp);
}

static void refuse(struct nvme_auth *auth, int code, const char *why)
{
	nvme_qpair_fail(auth->qp, true, code, "authentication of host %s: %s",
			auth->qp->ctrlr->opts.path.hostnqn, why);
	free(auth);
}

static void exchange_done(struct nvme_request *req)
{
	struct nvme_auth *auth = container_of(req, struct nvme_auth, req);

	/* A path that broke meanwhile has told its own reason. */
	if (auth->qp->state != NVME_QPAIR_CONNECTING)
		free(auth);
	else if (nvme_request_status(req) != 0)
		refuse(auth, -EACCES, "the controller refused a message of it");
	else
		auth->next(auth);
}

static void exchange(struct nvme_auth *auth, uint8_t type, uint32_t len,
		     enum nvme_direction direction, void (*next)(struct nvme_auth *auth))
{
	auth->next = next;
	auth->req = (struct nvme_request){ .done = exchange_done, .may_be_short = true };
	auth->req.cmd.opc = NVME_OPC_FABRICS;
	auth->req.cmd.nsid = htole32(type);
	auth->req.cmd.cdw10 = htole32(NVME_AUTH_SPECIFIC << 8 | NVME_AUTH_SPECIFIC << 16 |
				      NVME_AUTH_PROTOCOL << 24);
	auth->req.cmd.cdw11 = htole32(len);
	nvme_request_data(&auth->req, &auth->iov, auth->message, len, direction);
	nvme_qpair_submit_now(auth->qp, &auth->req);
}

static void receive(struct nvme_auth *auth, void (*next)(struct nvme_auth *auth))
{
	memset(auth->message, 0, sizeof(auth->message));
	exchange(auth, NVME_FCTYPE_AUTH_RECV, sizeof(auth->message), NVME_FROM_CTRLR, next);
}

static void transmit(struct nvme_auth *auth, uint32_t len, void (*next)(struct nvme_auth *auth))
{
	exchange(auth, NVME_FCTYPE_AUTH_SEND, len, NVME_TO_CTRLR, next);
}

static void fill_head(struct nvme_auth *auth, uint8_t type, uint8_t id)
{
	struct nvme_auth_head *head = (struct nvme_auth_head *)auth->message;

	memset(auth->message, 0, sizeof(auth->message));
	head->type = type;
	head->id = id;
	head->tid = htole16(TID);
}

/* Return: true when the message is that one; otherwise the queue pair has failed. */
static bool is_message(struct nvme_auth *auth, uint8_t id, const char *missing)
{
	const struct nvme_auth_failure1 *failure = (struct nvme_auth_failure1 *)auth->message;

	if (failure->head.type == NVME_AUTH_DHCHAP && failure->head.id == id &&
	    le16toh(failure->head.tid) == TID)
		return true;
	if (failure->head.type == NVME_AUTH_COMMON && failure->head.id == NVME_AUTH_FAILURE1)
		refuse(auth, -EACCES, "the controller says that it failed: the key is another one");
	else
		refuse(auth, -EPROTO, missing);
	return false;
}

static const struct key *host_key(const struct nvme_auth *auth)
{
	return &auth->qp->ctrlr->opts.dhchap_key;
}

static const struct key *ctrlr_key(const struct nvme_auth *auth)
{
	return &auth->qp->ctrlr->opts.dhchap_ctrlr_key;
}

/* --- Success1 --------------------------------------------------------------------------------- */

static bool controller_is_right(const struct nvme_auth *auth)
{
	const struct nvme_auth_success1 *m = (struct nvme_auth_success1 *)auth->message;
	const struct nvme_path *path = &auth->qp->ctrlr->opts.path;
	uint8_t len = nvme_dhchap_hash_len(auth->hash), expected[NVME_DHCHAP_HASH_MAX], differ = 0;
	struct nvme_dhchap_proof proof = { .hash = auth->hash,
					   .challenge = auth->challenge,
					   .seq = auth->seq,
					   .tid = TID,
					   .role = "Controller",
					   .owner = path->subnqn,
					   .other = path->hostnqn };

	if (!m->response_valid || m->hash_len != len ||
	    nvme_dhchap_respond(ctrlr_key(auth), &proof, expected) != 0)
		return false;
	for (uint8_t i = 0; i < len; i++)
		differ |= expected[i] ^ m->response[i];
	return differ == 0;
}

static void take_success(struct nvme_auth *auth)
{
	if (!is_message(auth, NVME_AUTH_SUCCESS1,
			"the controller sent something else than Success1"))
		return;
	if (!ctrlr_key(auth)->len) {
		end(auth);
		return;
	}
	if (!controller_is_right(auth)) {
		refuse(auth, -EACCES, "the controller did not prove its own key");
		return;
	}
	fill_head(auth, NVME_AUTH_DHCHAP, NVME_AUTH_SUCCESS2);
	transmit(auth, sizeof(struct nvme_auth_success2), end);
}

static void ask_success(struct nvme_auth *auth)
{
	receive(auth, take_success);
}

/* --- Challenge and Reply ---------------------------------------------------------------------- */

static bool respond(struct nvme_auth *auth, uint8_t response[static NVME_DHCHAP_HASH_MAX])
{
	const struct nvme_auth_challenge *m = (struct nvme_auth_challenge *)auth->message;
	const struct nvme_path *path = &auth->qp->ctrlr->opts.path;
	struct nvme_dhchap_proof proof = { .hash = auth->hash,
					   .challenge = m->challenge,
					   .seq = le32toh(m->seq),
					   .tid = TID,
					   .role = "HostHost",
					   .owner = path->hostnqn,
					   .other = path->subnqn };

	return nvme_dhchap_respond(host_key(auth), &proof, response) == 0 &&
	       getrandom(auth->challenge, sizeof(auth->challenge), 0) ==
		       (ssize_t)sizeof(auth->challenge) &&
	       getrandom(&auth->seq, sizeof(auth->seq), 0) == (ssize_t)sizeof(auth->seq);
}

static void reply(struct nvme_auth *auth)
{
	struct nvme_auth_reply *m = (struct nvme_auth_reply *)auth->message;
	uint8_t len = nvme_dhchap_hash_len(auth->hash), response[NVME_DHCHAP_HASH_MAX];

	if (!respond(auth, response)) {
		refuse(auth, -EIO, "no response could be made");
		return;
	}
	auth->seq |= 1; /* 0 means that the controller need not answer */
	fill_head(auth, NVME_AUTH_DHCHAP, NVME_AUTH_REPLY);
	m->hash_len = len;
	memcpy(m->data, response, len);
	if (ctrlr_key(auth)->len) {
		m->challenge_valid = 1;
		m->seq = htole32(auth->seq);
		memcpy(m->data + len, auth->challenge, len);
	}
	transmit(auth, (uint32_t)(offsetof(struct nvme_auth_reply, data) + 2u * len), ask_success);
}

static void take_challenge(struct nvme_auth *auth)
{
	const struct nvme_auth_challenge *m = (struct nvme_auth_challenge *)auth->message;

	if (!is_message(auth, NVME_AUTH_CHALLENGE,
			"the controller sent something else than a challenge"))
		return;
	auth->hash = m->hash;
	if (nvme_dhchap_hash_len(m->hash) == 0 || m->hash_len != nvme_dhchap_hash_len(m->hash) ||
	    m->group != NVME_DHCHAP_GROUP_NULL || m->dh_len != 0)
		refuse(auth, -EPROTO, "the controller chose what was not offered");
	else
		reply(auth);
}

static void ask_challenge(struct nvme_auth *auth)
{
	receive(auth, take_challenge);
}

int nvme_auth_start(struct nvme_qpair *qp)
{
	struct nvme_auth *auth = calloc(1, sizeof(*auth));
	struct nvme_auth_negotiate *m;

	if (!auth)
		return -ENOMEM;
	qp->phase = "authentication";
	auth->qp = qp;
	fill_head(auth, NVME_AUTH_COMMON, NVME_AUTH_NEGOTIATE);
	m = (struct nvme_auth_negotiate *)auth->message;
	m->count = 1;
	m->dhchap.id = NVME_AUTH_DHCHAP;
	m->dhchap.hashes = 3;
	m->dhchap.groups = 1;
	m->dhchap.hash[0] = NVME_DHCHAP_SHA256;
	m->dhchap.hash[1] = NVME_DHCHAP_SHA384;
	m->dhchap.hash[2] = NVME_DHCHAP_SHA512;
	m->dhchap.group[0] = NVME_DHCHAP_GROUP_NULL;
	transmit(auth, sizeof(*m), ask_challenge);
	return 0;
}
