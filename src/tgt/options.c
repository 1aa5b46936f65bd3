/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of cyborg-spdk-tgt: SPDK's options under SPDK's names, and our own.
 *
 * Threading: used at start.
 */
#include "tgt/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpuset.h"
#include "base/log.h"
#include "base/options.h"

#define DEFAULT_SOCKET	"/var/tmp/spdk.sock"
#define DEFAULT_DRAIN	(10 * NS_PER_SEC)
#define MAX_DRAIN	(3600 * NS_PER_SEC)
#define MAX_SPIN	NS_PER_SEC
#define MAX_CONNECTIONS 1000000

/** struct words - where the rows put what needs a second look */
struct words {
	const char *backend;
	const char *lcores;
	uint64_t spin_ns;
	bool silent;
	bool interrupt_mode;
	struct option_strings flags;
};

/** struct ignored - an option that SPDK has and we have no use for */
struct ignored {
	struct tgt_options *o;
	const char *name;
	enum { ANY, NUMBER, SIZE } kind;
};

static int ignore(const char *value, void *arg, struct error *err)
{
	const struct ignored *i = arg;
	size_t len = strlen(i->o->ignored);
	uint64_t number;

	if (i->kind == NUMBER && parse_u64(value, &number) < 0)
		return error_set(err, -EINVAL, "\"%.64s\" is no whole number", value);
	if (i->kind == SIZE && parse_size(value, &number, err) < 0)
		return err->code;
	if (!strstr(i->o->ignored, i->name))
		snprintf(i->o->ignored + len, sizeof(i->o->ignored) - len, "%s%s", len ? ", " : "",
			 i->name);
	return 0;
}

static int set_backend(struct tgt_options *o, const char *name, struct error *err)
{
	static const struct {
		const char *name;
		enum reactor_backend backend;
	} backends[] = {
		{ "auto", REACTOR_BACKEND_AUTO },
		{ "uring", REACTOR_BACKEND_URING },
		{ "epoll", REACTOR_BACKEND_EPOLL },
	};

	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
		if (strcmp(backends[i].name, name) == 0) {
			o->reactor.backend = backends[i].backend;
			return 0;
		}
	}
	return error_set(err, -EINVAL, "--backend is \"%.64s\"; it must be auto, uring or epoll",
			 name);
}

/*
 * DPDK's list may map cores onto others; we have one thread a core. Whether the cores are there and
 * free is seen at the start; whether this is a set of cores at all, now.
 */
static int set_cores(struct tgt_options *o, const char *lcores, struct error *err)
{
	cpu_set_t set;

	if (!lcores)
		return o->reactor.cores ? cpuset_parse(o->reactor.cores, &set, err) : 0;
	if (o->reactor.cores)
		return error_set(err, -EINVAL, "give either -m or --lcores");
	if (strpbrk(lcores, "@()"))
		return error_set(err, -EINVAL,
				 "--lcores %.64s: a core runs its own reactor and cannot be mapped "
				 "to others; give a list like 0-3,6",
				 lcores);
	o->reactor.cores = lcores;
	return cpuset_parse(lcores, &set, err);
}

static int set_log(const struct words *w, struct error *err)
{
	if (w->silent)
		log_set_print_level(LOG_WARNING);
	for (size_t i = 0; i < w->flags.count; i++) {
		if (log_flag_set(w->flags.items[i], true) < 0)
			return error_set(err, -EINVAL,
					 "-L: there is no log flag \"%.64s\"; log_get_flags lists "
					 "them, all means each of them",
					 w->flags.items[i]);
		log_set_print_level(LOG_DEBUG);
	}
	return 0;
}

static int check(struct tgt_options *o, const struct words *w, int left, char **argv,
		 struct error *err)
{
	if (left > 0)
		return error_set(err, -EINVAL, "\"%.64s\" is no option; --help lists them",
				 argv[1]);
	if (w->backend && set_backend(o, w->backend, err) < 0)
		return err->code;
	if (set_cores(o, w->lcores, err) < 0 || set_log(w, err) < 0)
		return err->code;
	if (o->reactor.poll && w->interrupt_mode)
		return error_set(err, -EINVAL, "give either --poll or --interrupt-mode");
	if (o->config && o->wait_for_rpc)
		return error_set(
			err, -EINVAL,
			"give either -c or --wait-for-rpc: a configuration initialises the "
			"target by itself");
	o->reactor.spin_ns = w->spin_ns;
	return 0;
}

#define IGNORED_FLAG(name_, letter_, shown)                                                        \
	{                                                                                          \
		.name = (name_), .letter = (letter_), .kind = OPTION_CALL,                         \
		.help = "no meaning here: accepted", .call = ignore, .arg = &(struct ignored)      \
		{                                                                                  \
			o, (shown), ANY                                                            \
		}                                                                                  \
	}
#define IGNORED_VALUE(name_, letter_, shown, value_, kind_)                                        \
	{                                                                                          \
		.name = (name_), .letter = (letter_), .kind = OPTION_CALL, .value = (value_),      \
		.help = "no meaning here: accepted", .call = ignore, .arg = &(struct ignored)      \
		{                                                                                  \
			o, (shown), (kind_)                                                        \
		}                                                                                  \
	}

static void print_help(const struct option_row *rows)
{
	puts("usage: cyborg-spdk-tgt [options]\n\n"
	     "A storage target in user space: bdevs, NVMe over TCP, SPDK's JSON-RPC.\n");
	options_help(stdout, rows);
}

static int parse(struct tgt_options *o, struct words *w, int argc, char **argv, struct error *err)
{
	const struct option_row rows[] = {
		{ "rpc-socket", 'r', OPTION_STRING, "PATH",
		  "JSON-RPC socket (default " DEFAULT_SOCKET ")", &o->rpc_socket, 0, 0, NULL,
		  NULL },
		{ "cpumask", 'm', OPTION_STRING, "CORES",
		  "mask (0x3) or list ([0,2-3]) of cores, a reactor on each (default: one core)",
		  &o->reactor.cores, 0, 0, NULL, NULL },
		{ "lcores", 0, OPTION_STRING, "LIST", "the same as a list", &w->lcores, 0, 0, NULL,
		  NULL },
		{ "disable-cpumask-locks", 0, OPTION_FLAG, NULL, "share cores with other targets",
		  &o->reactor.share_cores, 0, 0, NULL, NULL },
		{ "config", 'c', OPTION_STRING, "FILE", "configuration to load", &o->config, 0, 0,
		  NULL, NULL },
		{ "json", 0, OPTION_STRING, "FILE", "the same", &o->config, 0, 0, NULL, NULL },
		{ "json-ignore-init-errors", 0, OPTION_FLAG, NULL,
		  "go on when a method of the configuration fails", &o->config_go_on, 0, 0, NULL,
		  NULL },
		{ "wait-for-rpc", 0, OPTION_FLAG, NULL,
		  "initialise when framework_start_init is called", &o->wait_for_rpc, 0, 0, NULL,
		  NULL },
		{ "rpcs-allowed", 0, OPTION_STRING, "LIST",
		  "answer only these methods, with commas between", &o->rpcs_allowed, 0, 0, NULL,
		  NULL },
		{ "no-rpc-server", 0, OPTION_FLAG, NULL, "no JSON-RPC socket", &o->no_rpc_server, 0,
		  0, NULL, NULL },
		{ "pid-file", 'f', OPTION_STRING, "FILE", "write the process id to FILE",
		  &o->pid_file, 0, 0, NULL, NULL },
		{ "logflag", 'L', OPTION_STRINGS, "FLAG",
		  "log what this area does; may be given several times", &w->flags, 0, 0, NULL,
		  NULL },
		{ "silence-noticelog", 0, OPTION_FLAG, NULL, "log warnings and errors only",
		  &w->silent, 0, 0, NULL, NULL },
		{ "interrupt-mode", 0, OPTION_FLAG, NULL,
		  "sleep when there is no work: the default", &w->interrupt_mode, 0, 0, NULL,
		  NULL },
		{ "poll", 0, OPTION_FLAG, NULL, "never sleep: least latency, a whole core each",
		  &o->reactor.poll, 0, 0, NULL, NULL },
		{ "spin-time", 0, OPTION_SECONDS, "TIME",
		  "how long to spin after work before sleeping", &w->spin_ns, 0, MAX_SPIN, NULL,
		  NULL },
		{ "backend", 0, OPTION_STRING, "NAME", "auto, uring or epoll (default auto)",
		  &w->backend, 0, 0, NULL, NULL },
		{ "drain-timeout", 0, OPTION_SECONDS, "TIME",
		  "how long to wait for hosts when leaving (default 10s)", &o->drain_ns, 0,
		  MAX_DRAIN, NULL, NULL },
		{ "max-connections", 0, OPTION_U64, "N",
		  "NVMe/TCP connections of a transport that does not say its own",
		  &o->max_connections, 1, MAX_CONNECTIONS, NULL, NULL },
		{ "help", 'h', OPTION_FLAG, NULL, "show this help", &o->help, 0, 0, NULL, NULL },
		{ "version", 'v', OPTION_FLAG, NULL, "show release and commit", &o->version, 0, 0,
		  NULL, NULL },
		IGNORED_VALUE("mem-size", 's', "-s", "SIZE", SIZE),
		IGNORED_FLAG("no-huge", 0, "--no-huge"),
		IGNORED_VALUE("huge-dir", 0, "--huge-dir", "DIR", ANY),
		IGNORED_FLAG("huge-unlink", 'R', "-R"),
		IGNORED_FLAG("single-file-segments", 'g', "-g"),
		IGNORED_VALUE("mem-channels", 'n', "-n", "N", NUMBER),
		IGNORED_VALUE("msg-mempool-size", 0, "--msg-mempool-size", "N", NUMBER),
		IGNORED_FLAG("enforce-numa", 0, "--enforce-numa"),
		IGNORED_VALUE("shm-id", 'i', "-i", "ID", ANY),
		IGNORED_VALUE("main-core", 'p', "-p", "CORE", NUMBER),
		IGNORED_FLAG("no-pci", 'u', "-u"),
		IGNORED_VALUE("pci-allowed", 'A', "-A", "ADDRESS", ANY),
		IGNORED_VALUE("pci-blocked", 'B', "-B", "ADDRESS", ANY),
		IGNORED_VALUE("vfio-vf-token", 0, "--vfio-vf-token", "UUID", ANY),
		IGNORED_VALUE("iova-mode", 0, "--iova-mode", "MODE", ANY),
		IGNORED_VALUE("base-virtaddr", 0, "--base-virtaddr", "ADDRESS", NUMBER),
		IGNORED_VALUE("env-context", 0, "--env-context", "TEXT", ANY),
		IGNORED_VALUE("tpoint-group", 'e', "-e", "GROUP", ANY),
		IGNORED_VALUE("num-trace-entries", 0, "--num-trace-entries", "N", NUMBER),
		IGNORED_FLAG("limit-coredump", 'd', "-d"),
		IGNORED_VALUE(NULL, 'S', "-S", "DIR", ANY),
		{ 0 },
	};
	int left = options_parse(argc, argv, rows, false, err);

	if (left < 0)
		return left;
	if (o->help)
		print_help(rows);
	return o->help || o->version ? 0 : check(o, w, left, argv, err);
}

int tgt_options_parse(struct tgt_options *o, int argc, char **argv, struct error *err)
{
	struct words w = { .backend = NULL };
	int rc;

	*o = (struct tgt_options){ .rpc_socket = DEFAULT_SOCKET, .drain_ns = DEFAULT_DRAIN };
	reactor_options_init(&o->reactor);
	w.spin_ns = o->reactor.spin_ns;
	rc = parse(o, &w, argc, argv, err);
	options_strings_free(&w.flags);
	return rc;
}
