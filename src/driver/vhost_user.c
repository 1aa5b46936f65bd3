/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front-end's side of vhost-user, as far as a proof of a block device needs it: features are
 * negotiated and the configuration is read, as a hypervisor does before it hands over memory.
 *
 * Threading: blocks for at most TIMEOUT_S a message.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "driver/driver.h"

#define TIMEOUT_S 5

/* QEMU, docs/interop/vhost-user: front-end message types, header flags, feature bits. */
enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_CONFIG = 24,
};
#define FLAG_VERSION	  UINT32_C(0x1)
#define FLAG_VERSION_MASK UINT32_C(0x3)
#define FLAG_REPLY	  UINT32_C(0x4)
#define F_PROTOCOL	  (UINT64_C(1) << 30)
#define F_VERSION_1	  (UINT64_C(1) << 32)
#define F_BLK_RO	  (UINT64_C(1) << 5) /* virtio 1.2, 5.2.3 */
#define PROTOCOL_F_CONFIG (UINT64_C(1) << 9)
#define CONFIG_MAX	  256
#define CONFIG_LEAST	  60 /* struct virtio_blk_config up to write_zeroes_may_unmap */
#define CAPACITY_UNIT	  512

struct message {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
	uint8_t payload[12 + CONFIG_MAX];
} __attribute__((packed));

#define HEADER_SIZE 12
_Static_assert(offsetof(struct message, payload) == HEADER_SIZE, "vhost-user header");

static int bad(const char *path, struct error *err, const char *what)
{
	return error_set(err, -EPROTO, "vhost-user socket %s: %s", path, what);
}

static int open_socket(const char *path, struct error *err)
{
	struct timeval patience = { .tv_sec = TIMEOUT_S };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(addr.sun_path)) {
		if (fd >= 0)
			close(fd);
		return error_set(err, -ENAMETOOLONG, "vhost-user socket %.100s cannot be opened",
				 path);
	}
	memcpy(addr.sun_path, path, strlen(path));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		int rc = error_set(err, -EPROTO, "vhost-user socket %s: %s", path,
				   error_errno_text(-errno));

		close(fd);
		return rc;
	}
	return fd;
}

static int send_message(int fd, uint32_t request, const void *payload, uint32_t size)
{
	struct message m = { .request = htole32(request),
			     .flags = htole32(FLAG_VERSION),
			     .size = htole32(size) };

	memcpy(m.payload, payload, size);
	return send(fd, &m, HEADER_SIZE + size, MSG_NOSIGNAL) == (ssize_t)(HEADER_SIZE + size)
		       ? 0
		       : -EPROTO;
}

static int receive_all(int fd, void *out, size_t size)
{
	ssize_t n = size ? recv(fd, out, size, MSG_WAITALL) : 0;

	return n == (ssize_t)size ? 0 : -EPROTO;
}

/* Return: bytes of payload, or -EPROTO for what is no answer to @request. */
static int receive_message(int fd, uint32_t request, struct message *m)
{
	uint32_t size, flags;

	if (receive_all(fd, m, HEADER_SIZE) < 0)
		return -EPROTO;
	size = le32toh(m->size);
	flags = le32toh(m->flags);
	if (le32toh(m->request) != request || (flags & FLAG_VERSION_MASK) != FLAG_VERSION ||
	    !(flags & FLAG_REPLY) || size > sizeof(m->payload))
		return -EPROTO;
	return receive_all(fd, m->payload, size) < 0 ? -EPROTO : (int)size;
}

static int get_u64(int fd, uint32_t request, uint64_t *out)
{
	struct message m;
	uint64_t value;

	if (send_message(fd, request, "", 0) < 0 ||
	    receive_message(fd, request, &m) != (int)sizeof(value))
		return -EPROTO;
	memcpy(&value, m.payload, sizeof(value));
	*out = le64toh(value);
	return 0;
}

static int set_u64(int fd, uint32_t request, uint64_t value)
{
	value = htole64(value);
	return send_message(fd, request, &value, sizeof(value));
}

/* A back-end that cannot give as much answers with no payload: it is asked for more then. */
static int get_capacity(int fd, uint64_t *sectors)
{
	static const uint32_t sizes[] = { CONFIG_LEAST, CONFIG_MAX };
	uint8_t ask[12 + CONFIG_MAX];
	struct message m;
	int n = 0;

	for (size_t i = 0; i < 2 && n == 0; i++) {
		uint32_t head[3] = { 0, htole32(sizes[i]), 0 };

		memset(ask, 0, sizeof(ask));
		memcpy(ask, head, sizeof(head));
		if (send_message(fd, GET_CONFIG, ask, 12 + sizes[i]) < 0)
			return -EPROTO;
		n = receive_message(fd, GET_CONFIG, &m);
	}
	if (n < 12 + (int)sizeof(*sectors))
		return -EPROTO;
	memcpy(sectors, m.payload + 12, sizeof(*sectors));
	*sectors = le64toh(*sectors);
	return 0;
}

static int negotiate(int fd, const char *path, struct vhost_seen *out, struct error *err)
{
	uint64_t features, protocol, sectors;

	if (get_u64(fd, GET_FEATURES, &features) < 0)
		return bad(path, err, "does not tell its features");
	if (!(features & F_PROTOCOL) || get_u64(fd, GET_PROTOCOL_FEATURES, &protocol) < 0)
		return bad(path, err, "knows no protocol features");
	if (!(protocol & PROTOCOL_F_CONFIG))
		return bad(path, err, "does not show its configuration, so it is no block device");
	if (set_u64(fd, SET_PROTOCOL_FEATURES, PROTOCOL_F_CONFIG) < 0 ||
	    send_message(fd, SET_OWNER, "", 0) < 0 ||
	    set_u64(fd, SET_FEATURES, features & (F_PROTOCOL | F_VERSION_1 | F_BLK_RO)) < 0 ||
	    get_capacity(fd, &sectors) < 0)
		return bad(path, err, "broke off the negotiation");
	if (sectors > UINT64_MAX / CAPACITY_UNIT)
		return bad(path, err, "tells a capacity that no device has");
	out->bytes = sectors * CAPACITY_UNIT;
	out->read_only = (features & F_BLK_RO) != 0;
	return 0;
}

int vhost_user_ask(const char *path, struct vhost_seen *out, struct error *err)
{
	int fd = open_socket(path, err), rc;

	if (fd < 0)
		return fd;
	rc = negotiate(fd, path, out, err);
	close(fd);
	return rc;
}
