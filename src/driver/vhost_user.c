/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front-end's side of vhost-user, as far as a proof of a block device needs it: features are
 * negotiated and the configuration is read, as a hypervisor does before it hands over memory.
 *
 * Threading: blocks, for no longer than its caller says.
 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/driver.h"

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

/** struct front - the connection, and until when all of it must have happened */
struct front {
	int fd;
	uint64_t until_ns;
};

static int bad(const char *path, int rc, struct error *err, const char *what)
{
	if (rc == -ETIMEDOUT)
		return error_set(err, -EPROTO, "vhost-user socket %s gave no whole answer in time",
				 path);
	return error_set(err, -EPROTO, "vhost-user socket %s: %s", path, what);
}

static int wait_for(const struct front *f, short events)
{
	struct pollfd p = { .fd = f->fd, .events = events };
	uint64_t now = clock_ns();
	int n;

	if (now >= f->until_ns)
		return -ETIMEDOUT;
	n = poll(&p, 1, (int)((f->until_ns - now) / NS_PER_MSEC) + 1);
	return n >= 0 || errno == EINTR ? 0 : -errno;
}

/* A queue of connections that is full cannot be waited for otherwise. */
static int connect_patiently(const struct front *f, const struct sockaddr_un *addr)
{
	const struct timespec pause = { .tv_nsec = 10 * NS_PER_MSEC };

	while (connect(f->fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (clock_ns() >= f->until_ns)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int open_socket(const char *path, uint64_t patience_ns, struct front *f, struct error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int rc;

	if (strlen(path) >= sizeof(addr.sun_path))
		return error_set(err, -ENAMETOOLONG,
				 "vhost-user socket %.120s has a path of more than %zu bytes", path,
				 sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path));
	f->until_ns = clock_ns() + patience_ns;
	f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (f->fd < 0)
		return error_set(err, -errno, "vhost-user socket %s: %s", path,
				 error_errno_text(-errno));
	rc = connect_patiently(f, &addr);
	if (rc < 0) {
		close(f->fd);
		return bad(path, rc, err, error_errno_text(rc));
	}
	return 0;
}

static int send_message(const struct front *f, uint32_t request, const void *payload, uint32_t size)
{
	struct message m = { .request = htole32(request),
			     .flags = htole32(FLAG_VERSION),
			     .size = htole32(size) };
	size_t at = 0, len = HEADER_SIZE + size;
	int rc = 0;

	memcpy(m.payload, payload, size);
	while (rc == 0 && at < len) {
		ssize_t n = send(f->fd, (const uint8_t *)&m + at, len - at, MSG_NOSIGNAL);

		if (n >= 0)
			at += (size_t)n;
		else
			rc = errno == EAGAIN || errno == EINTR ? wait_for(f, POLLOUT) : -EPROTO;
	}
	return rc;
}

/* Descriptors that come along are the kernel's to close: there is no room given for them. */
static int receive_all(const struct front *f, void *out, size_t size)
{
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && at < size) {
		ssize_t n = recv(f->fd, (uint8_t *)out + at, size - at, 0);

		if (n > 0)
			at += (size_t)n;
		else if (n < 0 && (errno == EAGAIN || errno == EINTR))
			rc = wait_for(f, POLLIN);
		else
			rc = -EPROTO;
	}
	return rc;
}

/* Return: bytes of payload; -EPROTO for what is no answer to @request; -ETIMEDOUT. */
static int receive_message(const struct front *f, uint32_t request, struct message *m)
{
	uint32_t size, flags;
	int rc = receive_all(f, m, HEADER_SIZE);

	if (rc < 0)
		return rc;
	size = le32toh(m->size);
	flags = le32toh(m->flags);
	if (le32toh(m->request) != request || (flags & FLAG_VERSION_MASK) != FLAG_VERSION ||
	    !(flags & FLAG_REPLY) || size > sizeof(m->payload))
		return -EPROTO;
	rc = receive_all(f, m->payload, size);
	return rc < 0 ? rc : (int)size;
}

static int get_u64(const struct front *f, uint32_t request, uint64_t *out)
{
	struct message m;
	uint64_t value;
	int rc = send_message(f, request, "", 0);

	if (rc == 0)
		rc = receive_message(f, request, &m);
	if (rc != (int)sizeof(value))
		return rc < 0 ? rc : -EPROTO;
	memcpy(&value, m.payload, sizeof(value));
	*out = le64toh(value);
	return 0;
}

static int set_u64(const struct front *f, uint32_t request, uint64_t value)
{
	value = htole64(value);
	return send_message(f, request, &value, sizeof(value));
}

/* A back-end that cannot give as much answers with no payload: it is asked for more then. */
static int get_capacity(const struct front *f, uint64_t *sectors)
{
	static const uint32_t sizes[] = { CONFIG_LEAST, CONFIG_MAX };
	uint8_t ask[12 + CONFIG_MAX];
	struct message m;
	int n = 0;

	for (size_t i = 0; i < 2 && n == 0; i++) {
		uint32_t head[3] = { 0, htole32(sizes[i]), 0 };

		memset(ask, 0, sizeof(ask));
		memcpy(ask, head, sizeof(head));
		n = send_message(f, GET_CONFIG, ask, 12 + sizes[i]);
		if (n == 0)
			n = receive_message(f, GET_CONFIG, &m);
	}
	if (n < 12 + (int)sizeof(*sectors))
		return n < 0 ? n : -EPROTO;
	memcpy(sectors, m.payload + 12, sizeof(*sectors));
	*sectors = le64toh(*sectors);
	return 0;
}

static int settle(const struct front *f, uint64_t features, uint64_t *sectors)
{
	int rc = set_u64(f, SET_PROTOCOL_FEATURES, PROTOCOL_F_CONFIG);

	if (rc == 0)
		rc = send_message(f, SET_OWNER, "", 0);
	if (rc == 0)
		rc = set_u64(f, SET_FEATURES, features & (F_PROTOCOL | F_VERSION_1 | F_BLK_RO));
	return rc < 0 ? rc : get_capacity(f, sectors);
}

static int negotiate(const struct front *f, const char *path, struct vhost_seen *out,
		     struct error *err)
{
	uint64_t features, protocol, sectors;
	int rc = get_u64(f, GET_FEATURES, &features);

	if (rc < 0)
		return bad(path, rc, err, "does not tell its features");
	rc = features & F_PROTOCOL ? get_u64(f, GET_PROTOCOL_FEATURES, &protocol) : -EPROTO;
	if (rc < 0)
		return bad(path, rc, err, "knows no protocol features");
	if (!(protocol & PROTOCOL_F_CONFIG))
		return bad(path, -EPROTO, err,
			   "does not show its configuration, so it is no block device");
	rc = settle(f, features, &sectors);
	if (rc < 0)
		return bad(path, rc, err, "broke off the negotiation");
	if (sectors > UINT64_MAX / CAPACITY_UNIT)
		return bad(path, -EPROTO, err, "tells a capacity that no device has");
	out->bytes = sectors * CAPACITY_UNIT;
	out->read_only = (features & F_BLK_RO) != 0;
	return 0;
}

int vhost_user_ask(const char *path, uint64_t patience_ns, struct vhost_seen *out,
		   struct error *err)
{
	struct front f;
	int rc = open_socket(path, patience_ns, &f, err);

	if (rc < 0)
		return rc;
	rc = negotiate(&f, path, out, err);
	close(f.fd);
	return rc;
}
