/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of a bdev: bdev_set_qos_limit, whose zero means none.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <string.h>

#include "driver/driver.h"

#define IOS_UNIT UINT64_C(1000) /* SPDK rounds up to it: whoever asks is told what holds */
#define IOS_MAX	 UINT64_C(1000000000)
#define MB_MAX	 UINT64_C(16777216)

bool qos_is_set(const struct qos *q)
{
	return q->rw_ios || q->rw_mb || q->r_mb || q->w_mb;
}

bool qos_equal(const struct qos *a, const struct qos *b)
{
	return a->rw_ios == b->rw_ios && a->rw_mb == b->rw_mb && a->r_mb == b->r_mb &&
	       a->w_mb == b->w_mb;
}

static uint64_t limit(const json_t *o, const char *name, uint64_t max, struct error *err)
{
	uint64_t value = request_u64(o, name, 0, err);

	if (value <= max)
		return value;
	error_set(err, -EINVAL, "limit %s of %llu: at most %llu is possible; 0 is none", name,
		  (unsigned long long)value, (unsigned long long)max);
	return 0;
}

int qos_request(const json_t *request, struct qos *out, struct error *err)
{
	static const char *const names[] = { "rw_ios", "rw_mb", "r_mb", "w_mb", NULL };
	const json_t *o = json_object_get(request, "qos");
	int rc;

	memset(out, 0, sizeof(*out));
	if (!o || json_is_null(o))
		return 0;
	if (!json_is_object(o))
		return error_set(err, -EINVAL, "the request's member \"qos\" must be an object");
	rc = request_check(o, names, err);
	if (rc < 0)
		return rc;
	out->rw_ios = limit(o, "rw_ios", IOS_MAX, err);
	out->rw_mb = limit(o, "rw_mb", MB_MAX, err);
	out->r_mb = limit(o, "r_mb", MB_MAX, err);
	out->w_mb = limit(o, "w_mb", MB_MAX, err);
	out->rw_ios = (out->rw_ios + IOS_UNIT - 1) / IOS_UNIT * IOS_UNIT;
	return err->code;
}

void qos_of(const json_t *bdev, struct qos *out)
{
	const json_t *o = json_object_get(bdev, "assigned_rate_limits");

	out->rw_ios = (uint64_t)json_integer_value(json_object_get(o, "rw_ios_per_sec"));
	out->rw_mb = (uint64_t)json_integer_value(json_object_get(o, "rw_mbytes_per_sec"));
	out->r_mb = (uint64_t)json_integer_value(json_object_get(o, "r_mbytes_per_sec"));
	out->w_mb = (uint64_t)json_integer_value(json_object_get(o, "w_mbytes_per_sec"));
}

int qos_ensure(struct client *c, const json_t *bdev, const struct qos *q, struct error *err)
{
	struct qos has;
	int rc;

	qos_of(bdev, &has);
	if (qos_equal(&has, q))
		return 0;
	rc = need_method(c, "bdev_set_qos_limit", "limits", err);
	if (rc < 0)
		return rc;
	return client_wait(c, "bdev_set_qos_limit",
			   json_pack("{s:s, s:I, s:I, s:I, s:I}", "name", view_text(bdev, "name"),
				     "rw_ios_per_sec", (json_int_t)q->rw_ios, "rw_mbytes_per_sec",
				     (json_int_t)q->rw_mb, "r_mbytes_per_sec", (json_int_t)q->r_mb,
				     "w_mbytes_per_sec", (json_int_t)q->w_mb),
			   NULL, err);
}
