/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TCP transport of a target and its options.
 *
 * Threading: reactor 0. Options are constant once the transport is there.
 */
#include <errno.h>
#include <strings.h>

#include "base/checked.h"
#include "nvmf/json.h"

#define DEFAULT_QUEUE_DEPTH 128u
#define DEFAULT_IO_QPAIRS   127u
#define DEFAULT_IO_SIZE	    131072u
#define DEFAULT_AQ_DEPTH    128u

void nvmf_transport_options_init(struct nvmf_transport_options *opts)
{
	*opts = (struct nvmf_transport_options){
		.max_queue_depth = DEFAULT_QUEUE_DEPTH,
		.max_io_qpairs = DEFAULT_IO_QPAIRS,
		.in_capsule_data_size = 4096,
		.max_io_size = DEFAULT_IO_SIZE,
		.io_unit_size = DEFAULT_IO_SIZE,
		.max_aq_depth = DEFAULT_AQ_DEPTH,
		.num_shared_buffers = 511,
		.buf_cache_size = UINT32_MAX,
		.abort_timeout_sec = 1,
		.acceptor_backlog = 100,
		.control_msg_num = 32,
		.max_connections = 16384,
		.kas = 100,
		.min_kato = 10000,
		.c2h_success = true,
	};
}

struct range {
	const char *name;
	uint32_t value, least, most;
};

static int check_ranges(const struct nvmf_transport_options *o, struct error *err)
{
	const struct range ranges[] = {
		/* Twice as many transfer tags, of 16 bits. */
		{ "max_queue_depth", o->max_queue_depth, 2, 32768 },
		{ "max_io_qpairs_per_ctrlr", o->max_io_qpairs, 1, 65534 },
		{ "in_capsule_data_size", o->in_capsule_data_size, 0, NVMF_BUFFER_BYTES },
		{ "max_io_size", o->max_io_size, 8192, NVMF_MAX_IO_SIZE },
		{ "max_aq_depth", o->max_aq_depth, 32, 4096 },
		{ "acceptor_backlog", o->acceptor_backlog, 1, 65535 },
		{ "max_connections", o->max_connections, 1, 1048576 },
		{ "kas", o->kas, 0, 65535 },
	};

	for (unsigned int i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (ranges[i].value < ranges[i].least || ranges[i].value > ranges[i].most)
			return error_set(err, -EINVAL, "%s is %u; %u to %u are allowed",
					 ranges[i].name, ranges[i].value, ranges[i].least,
					 ranges[i].most);
	}
	if (!is_power_of_two(o->max_io_size))
		return error_set(err, -EINVAL, "max_io_size is %u; it must be a power of two",
				 o->max_io_size);
	if (o->in_capsule_data_size % 16 != 0)
		return error_set(err, -EINVAL,
				 "in_capsule_data_size is %u; it must be a multiple of 16",
				 o->in_capsule_data_size);
	return 0;
}

/* As in SPDK, 0 means the default where it could mean nothing else. */
static void fill_zeroes(struct nvmf_transport_options *o)
{
	if (o->max_queue_depth == 0)
		o->max_queue_depth = DEFAULT_QUEUE_DEPTH;
	if (o->max_io_qpairs == 0)
		o->max_io_qpairs = DEFAULT_IO_QPAIRS;
	if (o->max_io_size == 0)
		o->max_io_size = DEFAULT_IO_SIZE;
	if (o->max_aq_depth == 0)
		o->max_aq_depth = DEFAULT_AQ_DEPTH;
}

int nvmf_transport_create(struct nvmf_target *tgt, const char *trtype,
			  const struct nvmf_transport_options *opts, struct error *err)
{
	struct nvmf_transport_options o = *opts;
	int rc;

	if (strcasecmp(trtype, "TCP") != 0)
		return error_set(err, -EINVAL, "Invalid transport type '%s': 'TCP' is offered",
				 trtype);
	if (tgt->has_tcp)
		return error_set(err, -EEXIST, "Transport type '%s' already exists", trtype);
	fill_zeroes(&o);
	rc = check_ranges(&o, err);
	if (rc)
		return rc;
	tgt->tcp = o;
	tgt->has_tcp = true;
	return 0;
}

json_t *nvmf_transports_to_json(const struct nvmf_target *tgt, const char *trtype)
{
	json_t *array = json_array();

	if (tgt->has_tcp && (!trtype || strcasecmp(trtype, "TCP") == 0))
		json_array_append_new(array, nvmf_transport_json(tgt));
	return array;
}
