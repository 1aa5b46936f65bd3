/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read-only HTTP over libmicrohttpd, see http.h.
 *
 * Threading: as http.h.
 */
#include "agent/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/options.h"

#define CONNECTIONS_MAX	  64
#define CONNECTION_MEMORY 8192 /* of one request's lines */
#define TIMEOUT_SECONDS	  10
#define STACK_SIZE	  (128 * 1024)

#define TEXT_PLAIN   "text/plain; charset=utf-8"
#define TEXT_METRICS "text/plain; version=0.0.4; charset=utf-8"
#define TEXT_JSON    "application/json"

struct http_server {
	struct MHD_Daemon *daemon;
	struct board *board;
	enum http_pages pages;
	unsigned int port;
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static bool is_loopback(const union address *a)
{
	if (a->any.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
	return ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
}

/* The host part of "host", "host:port", "[host]", "[host]:port". */
static bool split(const char *text, char *host, size_t size, const char **port)
{
	bool bracket = text[0] == '[';
	const char *begin = text + bracket;
	size_t len = strcspn(begin, bracket ? "]" : ":");
	const char *end = begin + len;

	if (bracket && *end++ != ']')
		return false;
	if (len == 0 || len >= size || (*end && *end != ':'))
		return false;
	memcpy(host, begin, len);
	host[len] = '\0';
	*port = *end ? end + 1 : NULL;
	return true;
}

static bool parse_host(const char *host, union address *a)
{
	*a = (union address){ .v4.sin_family = AF_INET };
	if (inet_pton(AF_INET, host, &a->v4.sin_addr) == 1)
		return true;
	*a = (union address){ .v6.sin6_family = AF_INET6 };
	return inet_pton(AF_INET6, host, &a->v6.sin6_addr) == 1;
}

static int parse_address(const char *text, union address *a, struct error *err)
{
	char host[INET6_ADDRSTRLEN];
	const char *port = NULL;
	uint64_t number;

	if (!split(text, host, sizeof(host), &port) || !port || parse_u64(port, &number) < 0 ||
	    number > 65535 || !parse_host(host, a))
		return error_set(err, -EINVAL,
				 "\"%.80s\" is no address to listen at: give ADDRESS:PORT, as in "
				 "127.0.0.1:10009 or [::1]:10009",
				 text);
	/* The port is at the same place in both families. */
	a->v4.sin_port = htons((uint16_t)number);
	return 0;
}

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned int code, const char *type,
				 char *text, size_t len, enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(len, text, mode);
	enum MHD_Result rc;

	if (!r) {
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(text);
		return MHD_NO;
	}
	MHD_add_response_header(r, "Content-Type", type);
	MHD_add_response_header(r, "Cache-Control", "no-store");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, "Allow", "GET, HEAD");
	rc = MHD_queue_response(c, code, r);
	MHD_destroy_response(r);
	return rc;
}

static enum MHD_Result send_constant(struct MHD_Connection *c, unsigned int code, const char *text)
{
	return send_text(c, code, TEXT_PLAIN, (char *)(uintptr_t)text, strlen(text),
			 MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result send_board(struct http_server *s, struct MHD_Connection *c,
				  enum board_text which, const char *type)
{
	size_t len;
	char *text = board_copy(s->board, which, &len);

	if (!text)
		return send_constant(c, MHD_HTTP_SERVICE_UNAVAILABLE,
				     "nothing was looked at yet\n");
	return send_text(c, MHD_HTTP_OK, type, text, len, MHD_RESPMEM_MUST_FREE);
}

/* A page of another site may have its name point to loopback; the Host it sends stays its own. */
static bool host_is_local(struct MHD_Connection *c)
{
	const char *text = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host"), *port;
	char host[256];
	union address a;

	if (!text)
		return true;
	if (!split(text, host, sizeof(host), &port))
		return false;
	return !strcasecmp(host, "localhost") || (parse_host(host, &a) && is_loopback(&a));
}

static enum MHD_Result send_health(struct http_server *s, struct MHD_Connection *c)
{
	bool ok = board_is_healthy(s->board);

	return send_constant(c, ok ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
			     ok ? "ok\n" : "not as recorded, see /status\n");
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *c, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **state)
{
	struct http_server *s = arg;

	(void)version;
	(void)upload;
	(void)upload_size;
	(void)state;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return send_constant(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	if (!strcmp(url, "/metrics") && (s->pages == HTTP_METRICS || host_is_local(c)))
		return send_board(s, c, BOARD_METRICS, TEXT_METRICS);
	if (s->pages == HTTP_METRICS)
		return send_constant(c, MHD_HTTP_NOT_FOUND, "only /metrics is here\n");
	if (!host_is_local(c))
		return send_constant(c, MHD_HTTP_FORBIDDEN,
				     "the Host must be a loopback address\n");
	if (!strcmp(url, "/status"))
		return send_board(s, c, BOARD_STATUS, TEXT_JSON);
	if (!strcmp(url, "/health"))
		return send_health(s, c);
	if (!strcmp(url, "/"))
		return send_constant(c, MHD_HTTP_OK,
				     "cyborg-spdk agent\n\n/metrics  for Prometheus\n"
				     "/status   JSON\n/health   200 when all is as recorded\n");
	return send_constant(c, MHD_HTTP_NOT_FOUND, "here are /metrics, /status and /health\n");
}

static int open_socket(const union address *a, const char *text, struct error *err)
{
	socklen_t len = a->any.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
	int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
	int rc;

	if (fd < 0)
		return error_set(err, -errno, "socket: %s", error_errno_text(-errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, &a->any, len) < 0 || listen(fd, CONNECTIONS_MAX) < 0) {
		rc = error_set(err, -errno, "cannot listen at %s: %s", text,
			       error_errno_text(-errno));
		close(fd);
		return rc;
	}
	return fd;
}

static unsigned int bound_port(int fd)
{
	union address a;
	socklen_t len = sizeof(a);

	return getsockname(fd, &a.any, &len) == 0 ? ntohs(a.v4.sin_port) : 0;
}

int http_start(const char *listen, enum http_pages pages, struct board *board,
	       struct http_server **out, struct error *err)
{
	struct http_server *s;
	union address a;
	int rc = parse_address(listen, &a, err), fd;

	*out = NULL;
	if (rc == 0 && pages == HTTP_ALL && !is_loopback(&a))
		rc = error_set(err, -EPERM,
			       "%s is not loopback: status tells who has what, and is for this "
			       "node only; --metrics-listen may be elsewhere",
			       listen);
	if (rc < 0)
		return rc;
	fd = open_socket(&a, listen, err);
	if (fd < 0)
		return fd;
	s = calloc(1, sizeof(*s));
	if (s) {
		*s = (struct http_server){ .board = board, .pages = pages, .port = bound_port(fd) };
		s->daemon = MHD_start_daemon(
			MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer, s,
			MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
			(unsigned int)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
			(unsigned int)TIMEOUT_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
			(size_t)CONNECTION_MEMORY, MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_SIZE,
			MHD_OPTION_END);
	}
	if (!s || !s->daemon) {
		close(fd);
		free(s);
		return error_set(err, -ENOMEM, "the HTTP server at %s cannot be started", listen);
	}
	*out = s;
	return 0;
}

unsigned int http_port(const struct http_server *s)
{
	return s->port;
}

void http_stop(struct http_server *s)
{
	if (!s)
		return;
	MHD_stop_daemon(s->daemon);
	free(s);
}
