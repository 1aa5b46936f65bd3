/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read-only HTTP: / /metrics /status /health, GET and HEAD.
 *
 * Threading: one thread of libmicrohttpd's own a server; it only reads the board.
 */
#ifndef AGENT_HTTP_H
#define AGENT_HTTP_H

#include "agent/board.h"
#include "base/error.h"

struct http_server;

enum http_pages {
	HTTP_ALL,     /* on loopback only, and only for a Host that is loopback (DNS rebinding) */
	HTTP_METRICS, /* /metrics alone, wherever it is wanted */
};

/**
 * http_start() - serve
 * @listen: "ADDRESS:PORT" or "[ADDRESS6]:PORT"; port 0 for any free one
 *
 * Return: 0 or a negative errno with @err filled: -EINVAL for what is no address, -EPERM for an
 * address that is not loopback where it must be, -EADDRINUSE and others of bind(2).
 */
int http_start(const char *listen, enum http_pages pages, struct board *board,
	       struct http_server **out, struct error *err);
/** http_port() - where it listens */
unsigned int http_port(const struct http_server *s);
/** http_stop() - when requests in progress have ended; NULL is fine */
void http_stop(struct http_server *s);

#endif
