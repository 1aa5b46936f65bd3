/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of cyborg-spdk-perf.
 *
 * Threading: at start, before the reactors run.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/version.h"
#include "perf/perf.h"

#define PROGRAM		"cyborg-spdk-perf"
#define DEPTH_MAX	4095u
#define IO_SIZE_MAX	(16u * 1024 * 1024)
#define IO_SIZE_MIN	512u
#define TIME_DEFAULT	(5 * NS_PER_SEC)
#define TIME_MAX_NS	(UINT64_C(366) * 24 * 3600 * NS_PER_SEC)
#define PERSISTENT_SEED 1u

static const struct perf_workload workloads[] = {
	{ "randread", true, 100, false },    { "randwrite", true, 0, false },
	{ "read", false, 100, false },	     { "write", false, 0, false },
	{ "randrw", true, PERF_MIX, false }, { "rw", false, PERF_MIX, false },
	{ "verify", false, 0, true },
};

/* What is parsed into plain values first and checked together afterwards. */
struct raw {
	struct perf_options *o;
	uint64_t time_ns, count;
	uint64_t kato_ns, timeout_ns, connect_ns;
	uint64_t spin_ns;
	bool identify, discover, zero, empty, has_nqn, has_subnqn_word, mix_given;
	const char *cores;
};

static int take_workload(const char *value, void *arg, struct error *err)
{
	struct raw *raw = arg;

	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
		if (strcmp(workloads[i].name, value) == 0) {
			raw->o->workload = &workloads[i];
			return 0;
		}
	return error_set(err, -EINVAL,
			 "workload '%s' is unknown; randread, randwrite, randrw, read, write, rw "
			 "and verify are known",
			 value);
}

static int take_path(const char *value, void *arg, struct error *err)
{
	struct raw *raw = arg;

	return nvme_path_parse(&raw->o->ctrlr.path, value, err);
}

static int take_addr(const char *value, void *arg, struct error *err)
{
	struct raw *raw = arg;

	return nvme_path_set_addr(&raw->o->ctrlr.path, value, err);
}

static int take_nqn(const char *value, void *arg, struct error *err)
{
	struct raw *raw = arg;

	return nvme_path_set_nqn(raw->o->ctrlr.path.subnqn, "--nqn", value, err);
}

static int take_hostnqn(const char *value, void *arg, struct error *err)
{
	struct raw *raw = arg;

	return nvme_path_set_nqn(raw->o->ctrlr.path.hostnqn, "--hostnqn", value, err);
}

static int take_hostid(const char *value, void *arg, struct error *err)
{
	struct raw *raw = arg;

	return nvme_path_set_hostid(&raw->o->ctrlr.path, value, err);
}

static int take_key(const char *value, void *arg, struct error *err)
{
	struct raw *raw = arg;

	return key_file_read(value, &key_form_dhchap, &raw->o->ctrlr.dhchap_key, err);
}

static int take_ctrlr_key(const char *value, void *arg, struct error *err)
{
	struct raw *raw = arg;

	return key_file_read(value, &key_form_dhchap, &raw->o->ctrlr.dhchap_ctrlr_key, err);
}

/* The bit of a name among all that @name_of has. */
static int take_id(const char *value, const char *(*name_of)(uint8_t id), uint32_t all,
		   const char *what, uint32_t *bits, struct error *err)
{
	for (uint8_t id = 0; id < 32; id++) {
		if (all & UINT32_C(1) << id && strcmp(name_of(id), value) == 0) {
			*bits = UINT32_C(1) << id;
			return 0;
		}
	}
	return error_set(err, -EINVAL,
			 "%s '%s' is unknown; the weakest is '%s', the strongest '%s'", what, value,
			 name_of((uint8_t)__builtin_ctz(all)),
			 name_of((uint8_t)nvme_dhchap_strongest(all)));
}

static int take_hash(const char *value, void *arg, struct error *err)
{
	struct raw *raw = arg;

	return take_id(value, nvme_dhchap_hash_name, NVME_DHCHAP_HASHES, "hash",
		       &raw->o->ctrlr.dhchap_hashes, err);
}

static int take_group(const char *value, void *arg, struct error *err)
{
	struct raw *raw = arg;

	return take_id(value, nvme_dhchap_group_name, NVME_DHCHAP_GROUPS, "group",
		       &raw->o->ctrlr.dhchap_groups, err);
}

static int take_psk(const char *value, void *arg, struct error *err)
{
	struct raw *raw = arg;

	return key_file_read(value, &key_form_tls, &raw->o->ctrlr.psk, err);
}

static int take_mix(const char *value, void *arg, struct error *err)
{
	struct raw *raw = arg;
	uint64_t mix;

	if (parse_u64(value, &mix) != 0 || mix > 100)
		return error_set(err, -EINVAL, "read share '%s'; a number from 0 to 100 is allowed",
				 value);
	raw->o->read_mix = mix;
	raw->mix_given = true;
	return 0;
}

static int take_pattern(const char *value, void *arg, struct error *err)
{
	struct raw *raw = arg;

	if (strcmp(value, "run") != 0 && strcmp(value, "persistent") != 0)
		return error_set(err, -EINVAL,
				 "pattern '%s' is unknown; 'run' (of this run only) and "
				 "'persistent' (the same for each --seed) are known",
				 value);
	raw->o->persistent = *value == 'p';
	raw->o->verify = true;
	return 0;
}

/* --- what fits together ----------------------------------------------------------------------- */

static bool is_one_pass(const struct perf_options *o)
{
	return o->workload->verify || o->verify_only ||
	       (o->persistent && strcmp(o->workload->name, "write") == 0);
}

static int check_run(const struct raw *raw, struct error *err)
{
	struct perf_options *o = raw->o;

	if (o->io_size % IO_SIZE_MIN != 0)
		return error_set(err, -EINVAL, "I/O size %lu is no multiple of %u", o->io_size,
				 IO_SIZE_MIN);
	if (strcmp(o->ctrlr.path.subnqn, NVME_DISCOVERY_NQN) == 0)
		return error_set(err, -EINVAL,
				 "no subsystem is named; give --nqn NQN (--discover lists them)");
	if (raw->mix_given && o->workload->read_percent != PERF_MIX)
		return error_set(err, -EINVAL, "-M is for the workloads rw and randrw, not for %s",
				 o->workload->name);
	if (raw->time_ns && raw->count)
		return error_set(err, -EINVAL, "--time and --count exclude each other");
	o->one_pass = is_one_pass(o);
	if (o->one_pass && (raw->time_ns || raw->count))
		return error_set(err, -EINVAL,
				 "%s goes once over the region: --time and --count have no meaning "
				 "(--offset and --length bound the region)",
				 o->verify_only ? "--verify-only" : "this write pass");
	return 0;
}

static void settle_run(const struct raw *raw)
{
	struct perf_options *o = raw->o;

	o->count = raw->count;
	o->time_ns = raw->time_ns;
	if (!o->count && !o->time_ns && !o->one_pass)
		o->time_ns = TIME_DEFAULT;
	if (o->workload->verify)
		o->verify = true;
	if (o->verify_only)
		o->verify = o->persistent = true;
	/* A run's own data must not be taken for that of an earlier run. */
	if (o->seed == 0)
		o->seed = o->persistent ? PERSISTENT_SEED : clock_ns() | 1;
}

static int settle(struct raw *raw, struct error *err)
{
	struct perf_options *o = raw->o;
	int ret;

	if (raw->identify + raw->discover + raw->zero + raw->empty > 1)
		return error_set(err, -EINVAL,
				 "--identify, --discover, --zero and --empty exclude each other");
	if (raw->empty && (o->offset || o->length))
		return error_set(
			err, -EINVAL,
			"--empty is about the whole namespace: leave --offset and --length "
			"away");
	if (o->ctrlr.path.addr.len == 0)
		return error_set(err, -EINVAL,
				 "no target is named; give --addr ADDRESS:PORT, or -r 'trtype:TCP "
				 "traddr:... trsvcid:... subnqn:...'");
	o->prove = o->prove || o->prove_read_only;
	if (o->prove && !raw->identify)
		return error_set(err, -EINVAL, "--prove is for --identify");
	o->mode = raw->identify	  ? PERF_IDENTIFY
		  : raw->discover ? PERF_DISCOVER
		  : raw->zero	  ? PERF_ZERO
		  : raw->empty	  ? PERF_EMPTY
				  : PERF_RUN;
	o->reactor.cores = raw->cores;
	o->reactor.spin_ns = raw->spin_ns;
	o->ctrlr.kato_ms = (uint32_t)(raw->kato_ns / NS_PER_MSEC);
	o->ctrlr.timeout_ms = (uint32_t)(raw->timeout_ns / NS_PER_MSEC);
	o->ctrlr.connect_timeout_ms = (uint32_t)(raw->connect_ns / NS_PER_MSEC);
	if (o->mode == PERF_DISCOVER) {
		snprintf(o->ctrlr.path.subnqn, sizeof(o->ctrlr.path.subnqn), "%s",
			 NVME_DISCOVERY_NQN);
		o->ctrlr.io_queues = 0;
		o->ctrlr.kato_ms = 0;
	}
	if (o->mode != PERF_RUN)
		return 0;
	ret = check_run(raw, err);
	if (ret == 0)
		settle_run(raw);
	return ret;
}

/* --- the table -------------------------------------------------------------------------------- */

static void defaults(struct perf_options *o, struct raw *raw)
{
	*o = (struct perf_options){
		.workload = &workloads[0],
		.depth = 32,
		.io_size = 4096,
		.read_mix = 50,
		.qpairs = 1,
	};
	nvme_ctrlr_options_init(&o->ctrlr);
	reactor_options_init(&o->reactor);
	*raw = (struct raw){
		.o = o,
		.spin_ns = o->reactor.spin_ns,
		.kato_ns = o->ctrlr.kato_ms * NS_PER_MSEC,
		.timeout_ns = o->ctrlr.timeout_ms * NS_PER_MSEC,
		.connect_ns = o->ctrlr.connect_timeout_ms * NS_PER_MSEC,
	};
}

static void print_help(const struct option_row *rows)
{
	printf("Usage: " PROGRAM " --addr ADDRESS:PORT --nqn NQN [OPTION...]\n"
	       "       " PROGRAM " --identify [--prove] --addr ADDRESS:PORT --nqn NQN\n"
	       "       " PROGRAM
	       " --zero [--offset SIZE] [--length SIZE] --addr ADDRESS:PORT --nqn NQN\n"
	       "       " PROGRAM " --empty --addr ADDRESS:PORT --nqn NQN\n"
	       "       " PROGRAM " --discover --addr ADDRESS:PORT\n"
	       "Generate and verify NVMe I/O as a host, or tell what a target has.\n\n");
	options_help(stdout, rows);
	printf("\nExit status: 0 good; 1 a failure of this program's own; 2 wrong command line;\n"
	       "3 no connection, or refused; 4 an I/O failed; 5 data is not what was written.\n");
}

int perf_options_parse(struct perf_options *o, int argc, char **argv, struct error *err)
{
	static struct raw raw;
	bool help = false, version = false;
	const struct option_row rows[] = {
		{ "addr", 0, OPTION_CALL, "ADDR:PORT", "Where the target listens.", NULL, 0, 0,
		  take_addr, &raw },
		{ "nqn", 0, OPTION_CALL, "NQN", "Subsystem to connect to.", NULL, 0, 0, take_nqn,
		  &raw },
		{ "hostnqn", 0, OPTION_CALL, "NQN", "Connect as this host.", NULL, 0, 0,
		  take_hostnqn, &raw },
		{ "hostid", 0, OPTION_CALL, "UUID", "Host identifier.", NULL, 0, 0, take_hostid,
		  &raw },
		{ "dhchap-key", 0, OPTION_CALL, "FILE", "The host's DH-HMAC-CHAP key.", NULL, 0, 0,
		  take_key, &raw },
		{ "dhchap-ctrlr-key", 0, OPTION_CALL, "FILE",
		  "Key with which the target must prove itself too.", NULL, 0, 0, take_ctrlr_key,
		  &raw },
		{ "dhchap-hash", 0, OPTION_CALL, "NAME",
		  "Offer this hash only: sha256, sha384, sha512 (all).", NULL, 0, 0, take_hash,
		  &raw },
		{ "dhchap-group", 0, OPTION_CALL, "NAME",
		  "Offer this Diffie-Hellman group only: null, ffdhe2048, ffdhe3072, ffdhe4096, "
		  "ffdhe6144, ffdhe8192 (all).",
		  NULL, 0, 0, take_group, &raw },
		{ "psk", 0, OPTION_CALL, "FILE", "Speak TLS with this pre-shared key.", NULL, 0, 0,
		  take_psk, &raw },
		{ "transport-id", 'r', OPTION_CALL, "ID",
		  "All of these as SPDK writes them: 'trtype:TCP adrfam:IPv4 traddr:... "
		  "trsvcid:... "
		  "subnqn:... hostnqn:...'.",
		  NULL, 0, 0, take_path, &raw },
		{ "workload", 'w', OPTION_CALL, "NAME",
		  "randread (default), randwrite, randrw, read, write, rw, verify.", NULL, 0, 0,
		  take_workload, &raw },
		{ "read-mix", 'M', OPTION_CALL, "PERCENT", "Reads of rw and randrw (50).", NULL, 0,
		  0, take_mix, &raw },
		{ "queue-depth", 'q', OPTION_U64, "N", "Outstanding I/Os a queue pair (32).",
		  &o->depth, 1, DEPTH_MAX, NULL, NULL },
		{ "io-size", 'o', OPTION_SIZE, "SIZE", "Bytes of an I/O (4K).", &o->io_size,
		  IO_SIZE_MIN, IO_SIZE_MAX, NULL, NULL },
		{ "time", 't', OPTION_SECONDS, "TIME", "How long (5 s).", &raw.time_ns, NS_PER_USEC,
		  TIME_MAX_NS, NULL, NULL },
		{ "count", 'n', OPTION_U64, "N", "How many I/Os instead of how long.", &raw.count,
		  1, UINT64_MAX, NULL, NULL },
		{ "cores", 'm', OPTION_STRING, "SET", "Cores to run on, a mask or a list.",
		  &raw.cores, 0, 0, NULL, NULL },
		{ "qpairs", 'P', OPTION_U64, "N", "Queue pairs (connections) of each core (1).",
		  &o->qpairs, 1, 1024, NULL, NULL },
		{ "nsid", 0, OPTION_U64, "N", "Namespace (the first).", &o->nsid, 1, UINT32_MAX - 2,
		  NULL, NULL },
		{ "offset", 0, OPTION_SIZE, "SIZE", "Start of the region (0).", &o->offset, 0,
		  UINT64_MAX, NULL, NULL },
		{ "length", 0, OPTION_SIZE, "SIZE", "Bytes of the region (the rest).", &o->length,
		  0, UINT64_MAX, NULL, NULL },
		{ "hdgst", 0, OPTION_FLAG, NULL, "Header digests.", &o->ctrlr.hdgst, 0, 0, NULL,
		  NULL },
		{ "ddgst", 0, OPTION_FLAG, NULL, "Data digests.", &o->ctrlr.ddgst, 0, 0, NULL,
		  NULL },
		{ "sq-flow", 0, OPTION_FLAG, NULL, "Keep submission queue flow control.",
		  &o->ctrlr.sq_flow, 0, 0, NULL, NULL },
		{ "verify", 0, OPTION_FLAG, NULL,
		  "Stamp what is written; check what is read, and all of it at the end.",
		  &o->verify, 0, 0, NULL, NULL },
		{ "verify-pattern", 0, OPTION_CALL, "KIND",
		  "run (default), or persistent: checked by a later --verify-only.", NULL, 0, 0,
		  take_pattern, &raw },
		{ "verify-only", 0, OPTION_FLAG, NULL,
		  "Read the region once and check the persistent pattern.", &o->verify_only, 0, 0,
		  NULL, NULL },
		{ "seed", 0, OPTION_U64, "N", "Of the pattern and of random places.", &o->seed, 1,
		  UINT64_MAX, NULL, NULL },
		{ "identify", 0, OPTION_FLAG, NULL, "Tell the controller and its namespaces.",
		  &raw.identify, 0, 0, NULL, NULL },
		{ "prove", 0, OPTION_FLAG, NULL, "With --identify: read LBA 0 of each namespace.",
		  &o->prove, 0, 0, NULL, NULL },
		{ "prove-read-only", 0, OPTION_FLAG, NULL,
		  "With --identify: write that LBA 0 back, which must be refused.",
		  &o->prove_read_only, 0, 0, NULL, NULL },
		{ "zero", 0, OPTION_FLAG, NULL,
		  "Make the region read as zeroes; what does already is not written.", &raw.zero, 0,
		  0, NULL, NULL },
		{ "empty", 0, OPTION_FLAG, NULL,
		  "Whether it reads as zeroes at both ends and in places between.", &raw.empty, 0,
		  0, NULL, NULL },
		{ "discover", 0, OPTION_FLAG, NULL, "Tell the target's discovery log.",
		  &raw.discover, 0, 0, NULL, NULL },
		{ "keep-alive", 0, OPTION_SECONDS, "TIME", "Keep-alive timeout, 0 for none (10 s).",
		  &raw.kato_ns, 0, 3600 * NS_PER_SEC, NULL, NULL },
		{ "timeout", 0, OPTION_SECONDS, "TIME",
		  "Of a command until it is aborted, 0 for none (30 s).", &raw.timeout_ns, 0,
		  3600 * NS_PER_SEC, NULL, NULL },
		{ "connect-timeout", 0, OPTION_SECONDS, "TIME", "Of a connection (10 s).",
		  &raw.connect_ns, NS_PER_MSEC, 3600 * NS_PER_SEC, NULL, NULL },
		{ "poll", 0, OPTION_FLAG, NULL, "Spin for ever, never sleep.", &o->reactor.poll, 0,
		  0, NULL, NULL },
		{ "spin", 0, OPTION_SECONDS, "TIME", "How long to spin before sleeping.",
		  &raw.spin_ns, 0, 10 * NS_PER_SEC, NULL, NULL },
		{ "disable-cpumask-locks", 0, OPTION_FLAG, NULL,
		  "Take cores that other programs of ours hold.", &o->reactor.share_cores, 0, 0,
		  NULL, NULL },
		{ "json", 0, OPTION_FLAG, NULL, "Print JSON.", &o->json, 0, 0, NULL, NULL },
		{ "quiet", 0, OPTION_FLAG, NULL, "No progress line.", &o->quiet, 0, 0, NULL, NULL },
		{ "help", 'h', OPTION_FLAG, NULL, "This text.", &help, 0, 0, NULL, NULL },
		{ "version", 'V', OPTION_FLAG, NULL, "Release and commit.", &version, 0, 0, NULL,
		  NULL },
		{ 0 },
	};
	int ret;

	defaults(o, &raw);
	ret = options_parse(argc, argv, rows, false, err);
	if (ret < 0)
		return ret;
	if (help || version) {
		if (help)
			print_help(rows);
		else
			version_print(PROGRAM);
		return 1;
	}
	if (ret > 0)
		return error_set(err, -EINVAL, "'%s' is no option; --help lists all", argv[1]);
	return settle(&raw, err);
}
