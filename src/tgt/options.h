/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of cyborg-spdk-tgt.
 *
 * Threading: used at start.
 */
#ifndef TGT_OPTIONS_H
#define TGT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "reactor/reactor.h"

/**
 * struct tgt_options - what a command line asks for; strings point into argv
 * @drain_ns: for hosts, when leaving
 * @max_connections: of a transport that does not say its own; 0: the transport's default
 * @ignored: names of options that came and have no meaning here
 */
struct tgt_options {
	struct reactor_options reactor;
	const char *rpc_socket;
	const char *config;
	const char *pid_file;
	const char *rpcs_allowed;
	bool config_go_on;
	bool wait_for_rpc;
	bool no_rpc_server;
	uint64_t drain_ns;
	uint64_t max_connections;
	bool help, version;
	char ignored[256];
};

/**
 * tgt_options_parse() - 0, or -EINVAL with @err filled
 *
 * Log levels and flags are set at once. With @o->help the help was printed.
 */
int tgt_options_parse(struct tgt_options *o, int argc, char **argv, struct error *err);

#endif
