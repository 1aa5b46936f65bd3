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
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/le.h"
#include "nvme/auth_message.h"
#include "nvme/host_internal.h"

#define MESSAGE_MAX 4096u
#define TID	    1u

struct nvme_auth {
	struct nvme_qpair *qp;
	struct nvme_request req;
	struct iovec iov;
	void (*next)(struct nvme_auth *auth);
	uint8_t hash;
	uint32_t seq;
	uint16_t dh_len;
	uint8_t challenge[NVME_DHCHAP_HASH_MAX];
	uint8_t dh[NVME_DHCHAP_DH_MAX];	    /* to send */
	uint8_t secret[NVME_DHCHAP_DH_MAX]; /* of both */
	uint8_t message[MESSAGE_MAX];
};

static void auth_free(struct nvme_auth *auth)
{
	explicit_bzero(auth, sizeof(*auth));
	free(auth);
}

static void end(struct nvme_auth *auth)
{
	struct nvme_qpair *qp = auth->qp;

	auth_free(auth);
	nvme_qpair_connected(qp);
}

static void refuse(struct nvme_auth *auth, int code, const char *why)
{
	nvme_qpair_fail(auth->qp, true, code, "authentication of host %s: %s",
			auth->qp->ctrlr->opts.path.hostnqn, why);
	auth_free(auth);
}

static void exchange_done(struct nvme_request *req)
{
	struct nvme_auth *auth = container_of(req, struct nvme_auth, req);

	/* A path that broke meanwhile has told its own reason. */
	if (auth->qp->state != NVME_QPAIR_CONNECTING)
		auth_free(auth);
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
	nvme_auth_fill_head(auth->message, sizeof(auth->message), type, id, TID);
}

/* Return: true when the message is that one; otherwise the queue pair has failed. */
static bool is_message(struct nvme_auth *auth, uint8_t id, const char *missing)
{
	const struct nvme_auth_failure *failure = (struct nvme_auth_failure *)auth->message;
	char why[128];

	if (nvme_auth_is(auth->message, MESSAGE_MAX, NVME_AUTH_DHCHAP, id))
		return true;
	if (nvme_auth_is(auth->message, MESSAGE_MAX, NVME_AUTH_COMMON, NVME_AUTH_FAILURE1)) {
		snprintf(why, sizeof(why), "the controller says that it failed: %s",
			 nvme_auth_reason_text(failure->explanation));
		refuse(auth, -EACCES, why);
	} else {
		refuse(auth, -EPROTO, missing);
	}
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

static void failure_sent(struct nvme_auth *auth)
{
	refuse(auth, -EACCES, "the controller did not prove its own key");
}

/* --- Success1 --------------------------------------------------------------------------------- */

static bool controller_is_right(const struct nvme_auth *auth, const uint8_t *response)
{
	const struct nvme_path *path = &auth->qp->ctrlr->opts.path;
	uint8_t expected[NVME_DHCHAP_HASH_MAX];
	struct nvme_dhchap_proof proof = { .hash = auth->hash,
					   .challenge = auth->challenge,
					   .seq = auth->seq,
					   .tid = TID,
					   .role = "Controller",
					   .owner = path->subnqn,
					   .other = path->hostnqn,
					   .secret = auth->secret,
					   .secret_len = auth->dh_len };

	return response && nvme_dhchap_respond(ctrlr_key(auth), &proof, expected) == 0 &&
	       CRYPTO_memcmp(expected, response, nvme_dhchap_hash_len(auth->hash)) == 0;
}

static void send_failure(struct nvme_auth *auth)
{
	struct nvme_auth_failure *m = (struct nvme_auth_failure *)auth->message;

	fill_head(auth, NVME_AUTH_COMMON, NVME_AUTH_FAILURE2);
	m->reason = NVME_AUTH_FAILURE;
	m->explanation = NVME_AUTH_REASON_FAILED;
	transmit(auth, sizeof(*m), failure_sent);
}

static void take_success(struct nvme_auth *auth)
{
	const uint8_t *response;

	if (!is_message(auth, NVME_AUTH_SUCCESS1,
			"the controller sent something else than Success1"))
		return;
	if (nvme_auth_take_success1(auth->message, MESSAGE_MAX, TID, auth->hash, &response) != 0) {
		refuse(auth, -EPROTO, "the controller's Success1 has a wrong form");
	} else if (!ctrlr_key(auth)->len) {
		end(auth);
	} else if (!controller_is_right(auth, response)) {
		send_failure(auth);
	} else {
		fill_head(auth, NVME_AUTH_DHCHAP, NVME_AUTH_SUCCESS2);
		transmit(auth, sizeof(struct nvme_auth_success2), end);
	}
}

static void ask_success(struct nvme_auth *auth)
{
	receive(auth, take_success);
}

/* --- Challenge and Reply ---------------------------------------------------------------------- */

/* Some milliseconds, in which nothing else of this reactor runs: only while a queue connects. */
static int agree(struct nvme_auth *auth, const struct nvme_auth_asked *asked)
{
	struct nvme_dh *dh;
	int rc;

	auth->dh_len = nvme_dhchap_group_len(asked->group);
	if (auth->dh_len == 0)
		return 0;
	dh = nvme_dh_create(asked->group);
	rc = dh ? nvme_dh_public(dh, auth->dh) : -EIO;
	if (rc == 0)
		rc = nvme_dh_secret(dh, asked->dh, asked->dh_len, auth->secret);
	nvme_dh_free(dh);
	return rc;
}

static bool respond(struct nvme_auth *auth, const struct nvme_auth_asked *asked,
		    uint8_t response[static NVME_DHCHAP_HASH_MAX])
{
	const struct nvme_path *path = &auth->qp->ctrlr->opts.path;
	struct nvme_dhchap_proof proof = { .hash = auth->hash,
					   .challenge = asked->challenge,
					   .seq = asked->seq,
					   .tid = TID,
					   .role = "HostHost",
					   .owner = path->hostnqn,
					   .other = path->subnqn,
					   .secret = auth->secret,
					   .secret_len = auth->dh_len };

	return nvme_dhchap_respond(host_key(auth), &proof, response) == 0 &&
	       getrandom(auth->challenge, sizeof(auth->challenge), 0) ==
		       (ssize_t)sizeof(auth->challenge) &&
	       getrandom(&auth->seq, sizeof(auth->seq), 0) == (ssize_t)sizeof(auth->seq);
}

static void reply(struct nvme_auth *auth, const struct nvme_auth_asked *asked)
{
	struct nvme_auth_reply *m = (struct nvme_auth_reply *)auth->message;
	uint8_t len = nvme_dhchap_hash_len(auth->hash), response[NVME_DHCHAP_HASH_MAX];

	if (!respond(auth, asked, response)) {
		refuse(auth, -EIO, "no response could be made");
		return;
	}
	auth->seq |= 1; /* 0 means that the controller need not answer */
	fill_head(auth, NVME_AUTH_DHCHAP, NVME_AUTH_REPLY);
	m->hash_len = len;
	m->dh_len = htole16(auth->dh_len);
	memcpy(m->data, response, len);
	if (ctrlr_key(auth)->len) {
		m->challenge_valid = 1;
		m->seq = htole32(auth->seq);
		memcpy(m->data + len, auth->challenge, len);
	}
	memcpy(m->data + 2 * len, auth->dh, auth->dh_len);
	transmit(auth, (uint32_t)(sizeof(*m) + 2u * len + auth->dh_len), ask_success);
}

static void take_challenge(struct nvme_auth *auth)
{
	struct nvme_auth_asked asked;
	int rc;

	if (!is_message(auth, NVME_AUTH_CHALLENGE,
			"the controller sent something else than a challenge"))
		return;
	if (nvme_auth_take_challenge(auth->message, MESSAGE_MAX, TID, &asked) != 0 ||
	    !(auth->qp->ctrlr->opts.dhchap_hashes & 1u << asked.hash) ||
	    !(auth->qp->ctrlr->opts.dhchap_groups & 1u << asked.group)) {
		refuse(auth, -EPROTO,
		       "the controller's challenge has a wrong form, or chooses what was not "
		       "offered");
		return;
	}
	auth->hash = asked.hash;
	rc = agree(auth, &asked);
	if (rc < 0)
		refuse(auth, rc == -EINVAL ? -EPROTO : rc,
		       rc == -EINVAL ? "the controller's Diffie-Hellman value is none of its group"
				     : "no Diffie-Hellman key could be made");
	else
		reply(auth, &asked);
}

static void ask_challenge(struct nvme_auth *auth)
{
	receive(auth, take_challenge);
}

static uint8_t put_ids(uint32_t bits, uint8_t ids[static NVME_AUTH_IDS_MAX])
{
	uint8_t count = 0;

	for (uint8_t id = 0; id < NVME_AUTH_IDS_MAX; id++) {
		if (bits & 1u << id)
			ids[count++] = id;
	}
	return count;
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
	m->protocols[0].id = NVME_AUTH_DHCHAP;
	m->protocols[0].hashes = put_ids(qp->ctrlr->opts.dhchap_hashes, m->protocols[0].hash);
	m->protocols[0].groups = put_ids(qp->ctrlr->opts.dhchap_groups, m->protocols[0].group);
	transmit(auth, sizeof(*m) + sizeof(m->protocols[0]), ask_challenge);
	return 0;
}
