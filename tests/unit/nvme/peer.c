/* SPDX-License-Identifier: Apache-2.0 */
/* The target for tests of the host. */
#include "peer.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/le.h"

/* --- bytes ------------------------------------------------------------------------------------ */

static bool recv_all(int fd, void *buf, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = recv(fd, (uint8_t *)buf + got, len - got, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

void peer_send(struct peer_conn *c, const void *bytes, size_t len)
{
	size_t sent = 0;

	/* The host may be gone already: that is for the host's side to judge. */
	while (sent < len) {
		ssize_t n = send(c->fd, (const uint8_t *)bytes + sent, len - sent, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		sent += (size_t)n;
	}
}

/* --- PDUs ------------------------------------------------------------------------------------- */

static void note_term(struct peer_conn *c)
{
	const struct nvme_tcp_term *term = (const struct nvme_tcp_term *)c->header;

	pthread_mutex_lock(&c->peer->lock);
	c->peer->fes = le16_get(&term->fes);
	c->peer->fei = le32_get(&term->fei);
	c->peer->terms++;
	pthread_mutex_unlock(&c->peer->lock);
}

static void check_digest(const void *data, size_t len, const uint8_t *digest)
{
	assert(le32_get(digest) == crc32c_finish(crc32c_update(CRC32C_INIT, data, len)));
}

static bool recv_data(struct peer_conn *c, const struct nvme_tcp_layout *layout)
{
	uint8_t skip[NVME_TCP_PDO_MASK_BYTES], digest[NVME_TCP_DIGEST_BYTES];

	c->data_len = layout->data_len;
	if (!layout->data_len)
		return true;
	assert(layout->data_len <= PEER_DATA);
	if (!recv_all(c->fd, skip, layout->data - layout->header) ||
	    !recv_all(c->fd, c->data, layout->data_len))
		return false;
	if (!layout->ddgst)
		return true;
	if (!recv_all(c->fd, digest, sizeof(digest)))
		return false;
	check_digest(c->data, c->data_len, digest);
	return true;
}

int peer_recv(struct peer_conn *c)
{
	struct nvme_tcp_rules rules = {
		.hdgst = c->hdgst,
		.ddgst = c->ddgst,
		.alignment = (c->peer->cpda + 1u) * 4,
		.from_host = true,
		.max_plen = PEER_DATA,
	};
	struct nvme_tcp_common *ch = (struct nvme_tcp_common *)c->header;
	struct nvme_tcp_layout layout;
	uint8_t digest[NVME_TCP_DIGEST_BYTES];
	uint32_t fei;

	if (!recv_all(c->fd, c->header, sizeof(*ch)))
		return -1;
	assert(nvme_tcp_check_common(ch, &rules, &layout, &fei) == 0);
	if (!recv_all(c->fd, c->header + sizeof(*ch), ch->hlen - sizeof(*ch)))
		return -1;
	if (layout.header > ch->hlen) {
		if (!recv_all(c->fd, digest, sizeof(digest)))
			return -1;
		check_digest(c->header, ch->hlen, digest);
	}
	if (!recv_data(c, &layout))
		return -1;
	if (ch->type == NVME_TCP_H2C_TERM)
		note_term(c);
	return ch->type;
}

const struct nvme_cmd *peer_recv_cmd(struct peer_conn *c)
{
	int type = peer_recv(c);

	if (type != NVME_TCP_CMD)
		return NULL;
	return &((const struct nvme_tcp_cmd *)c->header)->sqe;
}

void peer_recv_term(struct peer_conn *c)
{
	int type;

	do {
		type = peer_recv(c);
	} while (type >= 0 && type != NVME_TCP_H2C_TERM);
}

static uint32_t digest_of(const void *data, size_t len)
{
	return htole32(crc32c_finish(crc32c_update(CRC32C_INIT, data, len)));
}

void peer_send_pdu(struct peer_conn *c, void *header, const void *data, uint32_t len)
{
	static const uint8_t zeros[NVME_TCP_PDO_MASK_BYTES];
	struct nvme_tcp_common *ch = header;
	uint32_t at = ch->hlen, digest;

	peer_send(c, header, ch->hlen);
	if (ch->flags & NVME_TCP_FLAG_HDGST) {
		digest = digest_of(header, ch->hlen);
		peer_send(c, &digest, sizeof(digest));
		at += NVME_TCP_DIGEST_BYTES;
	}
	if (!len)
		return;
	if (ch->pdo > at)
		peer_send(c, zeros, ch->pdo - at);
	peer_send(c, data, len);
	if (ch->flags & NVME_TCP_FLAG_DDGST) {
		digest = digest_of(data, len);
		peer_send(c, &digest, sizeof(digest));
	}
}

void peer_reply(struct peer_conn *c, uint16_t cid, uint16_t status, uint32_t dw0, uint32_t dw1)
{
	struct nvme_tcp_resp pdu = { 0 };

	nvme_tcp_fill_common(&pdu.ch, NVME_TCP_RESP, 0, c->hdgst, false, 0, 0);
	pdu.cqe.cid = htole16(cid);
	pdu.cqe.status = htole16(status);
	pdu.cqe.cdw0 = htole32(dw0);
	pdu.cqe.cdw1 = htole32(dw1);
	peer_send_pdu(c, &pdu, NULL, 0);
}

void peer_c2h(struct peer_conn *c, uint16_t cid, uint32_t offset, const void *data, uint32_t len,
	      uint8_t flags)
{
	struct nvme_tcp_data pdu = { 0 };

	/* More padding than is needed, but allowed. */
	nvme_tcp_fill_common(&pdu.ch, NVME_TCP_C2H_DATA, flags, c->hdgst, c->ddgst, 64, len);
	pdu.cccid = htole16(cid);
	pdu.datao = htole32(offset);
	pdu.datal = htole32(len);
	peer_send_pdu(c, &pdu, data, len);
}

void peer_r2t(struct peer_conn *c, uint16_t cid, uint16_t ttag, uint32_t offset, uint32_t len)
{
	struct nvme_tcp_r2t pdu = { 0 };

	nvme_tcp_fill_common(&pdu.ch, NVME_TCP_R2T, 0, c->hdgst, false, 0, 0);
	pdu.cccid = htole16(cid);
	pdu.ttag = htole16(ttag);
	pdu.r2to = htole32(offset);
	pdu.r2tl = htole32(len);
	peer_send_pdu(c, &pdu, NULL, 0);
}

/* --- the admin queue -------------------------------------------------------------------------- */

static void fill_ctrlr(const struct peer *p, struct nvme_id_ctrlr *id)
{
	memset(id, 0, sizeof(*id));
	memcpy(id->sn, "SERIAL              ", sizeof(id->sn));
	memset(id->mn, ' ', sizeof(id->mn));
	memcpy(id->mn, "Model", 5);
	id->cntrltype = NVME_CNTRLTYPE_IO;
	id->ioccsz = htole32(p->ioccsz);
	id->nn = htole32(1);
	id->oaes = htole32(NVME_OAES_NS_ATTR);
	id->kas = htole16(1);
	id->mdts = 5;
}

static void fill_ns(struct nvme_id_ns *ns)
{
	memset(ns, 0, sizeof(*ns));
	ns->nsze = ns->ncap = htole64(2048);
	ns->lbaf[0].lbads = 9;
	memset(ns->nguid, 0x5a, sizeof(ns->nguid));
}

static void fill_descriptors(uint8_t *page)
{
	struct nvme_ns_id_desc *desc = (struct nvme_ns_id_desc *)page;

	memset(page, 0, NVME_IDENTIFY_BYTES);
	desc->nidt = NVME_NIDT_UUID;
	desc->nidl = 16;
	memset(desc->nid, 0xa5, 16);
}

static void identify(struct peer_conn *c, const struct nvme_cmd *cmd)
{
	uint8_t page[NVME_IDENTIFY_BYTES] = { 0 };
	uint16_t cid = le16_get(&cmd->cid);

	switch (le32_get(&cmd->cdw10) & 0xff) {
	case NVME_CNS_CTRLR:
		fill_ctrlr(c->peer, (struct nvme_id_ctrlr *)page);
		break;
	case NVME_CNS_ACTIVE_NS_LIST:
		if (cmd->nsid == 0)
			le32_put(page, 1);
		break;
	case NVME_CNS_NS:
		fill_ns((struct nvme_id_ns *)page);
		break;
	default:
		fill_descriptors(page);
		break;
	}
	peer_c2h(c, cid, 0, page, sizeof(page), NVME_TCP_FLAG_LAST);
	peer_reply(c, cid, 0, 0, 0);
}

static void property(struct peer_conn *c, const struct nvme_cmd *cmd)
{
	const struct nvme_property_cmd *p = (const struct nvme_property_cmd *)cmd;
	struct peer *peer = c->peer;
	uint64_t value = 0;

	if (p->fctype == NVME_FCTYPE_PROPERTY_SET) {
		peer->cc = le64_get(&p->value);
		if (NVME_CC_SHN(peer->cc))
			peer->shutdowns++;
	} else if (le32_get(&p->offset) == NVME_REG_CAP) {
		value = peer->mqes | NVME_CAP_CQR | UINT64_C(1) << NVME_CAP_TO_SHIFT;
	} else if (le32_get(&p->offset) == NVME_REG_VS) {
		value = NVME_VERSION(2, 0, 0);
	} else if (le32_get(&p->offset) == NVME_REG_CC) {
		value = peer->cc;
	} else {
		value = NVME_CC_SHN(peer->cc) ? NVME_CSTS_RDY | NVME_CSTS_SHST_DONE : NVME_CSTS_RDY;
	}
	peer_reply(c, le16_get(&p->cid), 0, (uint32_t)value, (uint32_t)(value >> 32));
}

static void admin_cmd(struct peer_conn *c, const struct nvme_cmd *cmd)
{
	uint16_t cid = le16_get(&cmd->cid);

	if (c->peer->admin && c->peer->admin(c, cmd))
		return;
	switch (cmd->opc) {
	case NVME_OPC_FABRICS:
		property(c, cmd);
		break;
	case NVME_ADMIN_IDENTIFY:
		identify(c, cmd);
		break;
	case NVME_ADMIN_ASYNC_EVENT:
		break;
	case NVME_ADMIN_ABORT:
		c->peer->aborts++;
		peer_reply(c, cid, 0, 1, 0);
		break;
	case NVME_ADMIN_SET_FEATURES:
		peer_reply(c, cid, 0, 3 | 3 << 16, 0);
		break;
	default:
		peer_reply(c, cid, 0, 0, 0);
		break;
	}
}

/* --- connections ------------------------------------------------------------------------------ */

static bool initialise(struct peer_conn *c, bool is_io)
{
	struct nvme_tcp_ic_resp resp = { 0 };
	uint8_t dgst;

	if (peer_recv(c) != NVME_TCP_IC_REQ)
		return false;
	dgst = ((const struct nvme_tcp_ic_req *)c->header)->dgst;
	nvme_tcp_fill_common(&resp.ch, NVME_TCP_IC_RESP, 0, false, false, 0, 0);
	resp.dgst = dgst;
	resp.cpda = c->peer->cpda;
	resp.maxh2cdata = htole32(c->peer->max_h2c);
	if (c->peer->ic && (is_io || !c->peer->ic_on_io_only))
		c->peer->ic(&resp);
	peer_send(c, &resp, sizeof(resp));
	c->hdgst = dgst & 1;
	c->ddgst = dgst & 2;
	return true;
}

/* The queue identifier of Connect; -1 when the connection is over. */
static int accept_connect(struct peer_conn *c)
{
	const struct nvme_cmd *cmd = peer_recv_cmd(c);
	const struct nvme_connect_cmd *connect = (const struct nvme_connect_cmd *)cmd;
	struct peer *p = c->peer;
	int qid;

	if (!cmd)
		return -1;
	assert(connect->fctype == NVME_FCTYPE_CONNECT);
	assert(c->data_len == sizeof(struct nvme_connect_data));
	qid = le16_get(&connect->qid);
	peer_reply(c, le16_get(&connect->cid), qid ? p->connect_status : p->admin_connect_status,
		   qid ? p->connect_dw0 : p->admin_connect_dw0, 0);
	if (qid ? p->connect_status : p->admin_connect_status)
		return -1;
	return qid;
}

static void admin_serve(struct peer_conn *c)
{
	const struct nvme_cmd *cmd;

	if (c->peer->stop_after_connect)
		return;
	while ((cmd = peer_recv_cmd(c)) != NULL)
		admin_cmd(c, cmd);
}

static void drain(int fd)
{
	uint8_t bytes[4096];

	shutdown(fd, SHUT_WR);
	while (recv(fd, bytes, sizeof(bytes), 0) > 0)
		;
}

static void *serve(void *arg)
{
	struct peer_conn *c = arg;
	bool is_io = c->peer->connections > 1;
	int qid;

	c->data = malloc(PEER_DATA);
	assert(c->data);
	if (initialise(c, is_io)) {
		qid = accept_connect(c);
		if (qid == 0)
			admin_serve(c);
		else if (qid > 0)
			c->peer->script(c);
	}
	drain(c->fd);
	close(c->fd);
	free(c->data);
	free(c);
	return NULL;
}

#define CONNECTIONS_MAX 8192

static void *accept_all(void *arg)
{
	static pthread_t threads[CONNECTIONS_MAX];
	struct peer *p = arg;
	unsigned int count = 0;
	int fd, one = 1;

	while ((fd = accept(p->listener, NULL, NULL)) >= 0) {
		struct peer_conn *c = calloc(1, sizeof(*c));

		assert(c && count < CONNECTIONS_MAX);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c->peer = p;
		c->fd = fd;
		p->connections++;
		assert(pthread_create(&threads[count++], NULL, serve, c) == 0);
	}
	for (unsigned int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return NULL;
}

/* --- its life --------------------------------------------------------------------------------- */

void peer_init(struct peer *p)
{
	memset(p, 0, sizeof(*p));
	p->ioccsz = 4;
	p->mqes = 127;
	p->max_h2c = 131072;
	pthread_mutex_init(&p->lock, NULL);
}

void peer_start(struct peer *p)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);

	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(p->listener >= 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(p->listener, 64), 0);
	assert_int_equal(getsockname(p->listener, (struct sockaddr *)&in, &len), 0);
	memset(&p->addr, 0, sizeof(p->addr));
	memcpy(&p->addr.ss, &in, sizeof(in));
	p->addr.len = sizeof(in);
	assert_int_equal(pthread_create(&p->acceptor, NULL, accept_all, p), 0);
}

void peer_stop(struct peer *p)
{
	shutdown(p->listener, SHUT_RDWR);
	pthread_join(p->acceptor, NULL);
	close(p->listener);
	pthread_mutex_destroy(&p->lock);
}
