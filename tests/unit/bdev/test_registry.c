/* SPDX-License-Identifier: Apache-2.0 */
/* Names, claims, events, sizes and removal. */
#include "fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is asked of reactor 0: any of the functions that are its own. */
enum what {
	REGISTER,
	OPEN,
	CLOSE,
	CLAIM,
	RELEASE,
	ALIAS_ADD,
	ALIAS_REMOVE,
	RENAME,
	RESIZE,
	FIND,
	UNREGISTER,
	WAIT_EXAMINE,
};

struct ask {
	enum what what;
	struct bdev *bdev;
	struct bdev_desc *desc;
	const char *text;
	bool writable;
	uint64_t blocks;
	void *user;
	struct error err;
	int rc;
};

/* What happened on reactor 0. */
static struct {
	unsigned int removes, resizes, ends;
	int result;
	bool close_at_once;
	unsigned int examined, waited;
	struct bdev *examining;
} seen;

static void on_event(struct bdev_desc *desc, enum bdev_event event, void *user)
{
	(void)user;
	if (event == BDEV_EVENT_REMOVE)
		seen.removes++;
	else
		seen.resizes++;
	if (seen.close_at_once)
		bdev_close(desc);
}

static void on_end(void *arg, int result)
{
	(void)arg;
	seen.ends++;
	seen.result = result;
}

static struct bdev_module other_module = { .name = "other" };

static void examine(struct bdev *bdev)
{
	seen.examined++;
	seen.examining = bdev;
}

static struct bdev_module curious_module = { .name = "curious", .examine = examine };

static void waited(struct reactor_msg *msg)
{
	(void)msg;
	seen.waited++;
}

static struct reactor_msg wait_msg;

static void ask_here(void *arg)
{
	struct ask *a = arg;

	switch (a->what) {
	case REGISTER:
		a->rc = bdev_register(a->bdev, a->text, &a->err);
		break;
	case OPEN:
		a->rc = bdev_open(a->text, a->writable, on_event, &seen, &a->desc, &a->err);
		break;
	case CLOSE:
		bdev_close(a->desc);
		break;
	case CLAIM:
		a->rc = bdev_claim(a->desc, a->user, &a->err);
		break;
	case RELEASE:
		bdev_release(a->desc);
		break;
	case ALIAS_ADD:
		a->rc = bdev_alias_add(a->bdev, a->text, &a->err);
		break;
	case ALIAS_REMOVE:
		a->rc = bdev_alias_remove(a->bdev, a->text);
		break;
	case RENAME:
		a->rc = bdev_rename(a->bdev, a->text, &a->err);
		break;
	case RESIZE:
		a->rc = bdev_resize(a->bdev, a->blocks, &a->err);
		break;
	case FIND:
		a->bdev = bdev_find(a->text);
		break;
	case UNREGISTER:
		a->rc = bdev_unregister(a->bdev, on_end, NULL);
		break;
	case WAIT_EXAMINE:
		wait_msg.fn = waited;
		bdev_wait_for_examine(&wait_msg);
		break;
	}
}

static struct ask ask(struct ask a)
{
	harness_call(0, ask_here, &a);
	return a;
}

#define ASK(...) ask((struct ask){ __VA_ARGS__ })

static struct bdev *find(const char *text)
{
	return ASK(.what = FIND, .text = text).bdev;
}

static void says(const struct ask *a, int code, const char *words)
{
	assert_int_equal(a->rc, code);
	assert_int_equal(a->err.code, code);
	if (strstr(a->err.text, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", a->err.text, words);
}

static struct fake f, g;

static int setup(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	harness_start(1);
	fake_init(&f, 64);
	assert_int_equal(uuid_from_text(&f.bdev.uuid, "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"), 0);
	fake_register(&f, "f");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	harness_stop();
	return 0;
}

/* --- names ---------------------------------------------------------------------------------- */

static void test_names(void **state)
{
	struct ask a;

	(void)state;
	assert_ptr_equal(find("f"), &f.bdev);
	assert_ptr_equal(find("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"), &f.bdev);
	assert_ptr_equal(find("AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE"), &f.bdev);
	assert_null(find("F"));
	assert_null(find(""));
	assert_null(find("bbbbbbbb-bbbb-4ccc-8ddd-eeeeeeeeeeee"));

	assert_int_equal(ASK(.what = ALIAS_ADD, .bdev = &f.bdev, .text = "lvs/f").rc, 0);
	assert_ptr_equal(find("lvs/f"), &f.bdev);
	a = ASK(.what = ALIAS_ADD, .bdev = &f.bdev, .text = "lvs/f");
	says(&a, -EEXIST, "\"lvs/f\"");
	a = ASK(.what = ALIAS_ADD, .bdev = &f.bdev, .text = "");
	says(&a, -EINVAL, "empty");
	assert_int_equal(ASK(.what = ALIAS_REMOVE, .bdev = &f.bdev, .text = "nope").rc, -ENOENT);
	assert_int_equal(ASK(.what = ALIAS_REMOVE, .bdev = &f.bdev, .text = "f").rc, -ENOENT);
	assert_int_equal(ASK(.what = ALIAS_REMOVE, .bdev = &f.bdev,
			     .text = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee")
				 .rc,
			 -ENOENT);
	assert_int_equal(ASK(.what = ALIAS_REMOVE, .bdev = &f.bdev, .text = "lvs/f").rc, 0);
	assert_null(find("lvs/f"));
	fake_fini(&f);
}

static void test_names_are_unique(void **state)
{
	char long_name[300];
	struct ask a;

	(void)state;
	fake_init(&g, 64);
	g.bdev = f.bdev;
	g.bdev.internal = NULL;
	g.bdev.name = NULL;
	a = ASK(.what = REGISTER, .bdev = &g.bdev, .text = "f");
	says(&a, -EEXIST, "bdev \"f\"");
	a = ASK(.what = REGISTER, .bdev = &g.bdev, .text = "g");
	says(&a, -EEXIST, "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee");
	assert_null(find("g"));
	memset(long_name, 'x', sizeof(long_name));
	long_name[256] = '\0';
	a = ASK(.what = REGISTER, .bdev = &g.bdev, .text = long_name);
	says(&a, -EINVAL, "has 256");
	/* The longest, with everything in it that is not forbidden. */
	long_name[255] = '\0';
	long_name[7] = '\n';
	long_name[8] = '/';
	g.bdev.uuid = (struct uuid){ 0 };
	assert_int_equal(ASK(.what = REGISTER, .bdev = &g.bdev, .text = long_name).rc, 0);
	assert_false(uuid_is_nil(&g.bdev.uuid));
	assert_int_equal(harness_unregister(&g.bdev), 0);
	fake_fini(&f);
}

/* Named by its UUID, as logical volumes are: no second label, and still found after a renaming. */
static void test_named_by_uuid(void **state)
{
	const char *uuid = "11111111-bbbb-4ccc-8ddd-eeeeeeeeeeee";
	json_t *json;

	(void)state;
	fake_init(&g, 64);
	assert_int_equal(uuid_from_text(&g.bdev.uuid, uuid), 0);
	fake_register(&g, uuid);
	assert_int_equal(ASK(.what = ALIAS_ADD, .bdev = &g.bdev, .text = "lvs0/l0").rc, 0);
	json = harness_json(&g.bdev);
	assert_int_equal(json_array_size(json_object_get(json, "aliases")), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(json, "aliases"), 0)),
			    "lvs0/l0");
	json_decref(json);
	assert_int_equal(ASK(.what = RENAME, .bdev = &g.bdev, .text = "g").rc, 0);
	assert_ptr_equal(find("g"), &g.bdev);
	assert_ptr_equal(find(uuid), &g.bdev);
	assert_int_equal(ASK(.what = RENAME, .bdev = &g.bdev, .text = uuid).rc, 0);
	assert_null(find("g"));
	assert_string_equal(bdev_name(&g.bdev), uuid);
	fake_fini(&g);
	fake_fini(&f);
}

static void test_rename(void **state)
{
	struct ask a;

	(void)state;
	fake_init(&g, 64);
	fake_register(&g, "g");
	a = ASK(.what = RENAME, .bdev = &g.bdev, .text = "f");
	says(&a, -EEXIST, "\"f\"");
	assert_int_equal(ASK(.what = RENAME, .bdev = &g.bdev, .text = "h").rc, 0);
	assert_null(find("g"));
	assert_ptr_equal(find("h"), &g.bdev);
	assert_string_equal(bdev_name(&g.bdev), "h");
	assert_int_equal(ASK(.what = RENAME, .bdev = &g.bdev, .text = "h").rc, 0);
	fake_fini(&g);
	fake_fini(&f);
}

static void test_order(void **state)
{
	(void)state;
	fake_init(&g, 64);
	fake_register(&g, "a");
	assert_ptr_equal(bdev_first(), &f.bdev);
	assert_ptr_equal(bdev_next(&f.bdev), &g.bdev);
	assert_null(bdev_next(&g.bdev));
	fake_fini(&g);
	fake_fini(&f);
}

/* --- opening and claims --------------------------------------------------------------------- */

static void test_claims(void **state)
{
	struct ask a, b;
	json_t *json;

	(void)state;
	a = ASK(.what = OPEN, .text = "nope");
	says(&a, -ENODEV, "\"nope\"");
	a = ASK(.what = OPEN, .text = "f");
	assert_int_equal(a.rc, 0);
	b = ASK(.what = OPEN, .text = "f", .writable = true);
	assert_int_equal(b.rc, 0);
	a = ASK(.what = CLAIM, .desc = a.desc, .user = &fake_module);
	says(&a, -EPERM, "open for writing elsewhere");
	ASK(.what = CLOSE, .desc = b.desc);
	a = ASK(.what = CLAIM, .desc = a.desc, .user = &fake_module);
	assert_int_equal(a.rc, 0);
	b = ASK(.what = OPEN, .text = "f", .writable = true);
	says(&b, -EPERM, "claimed by module fake");
	b = ASK(.what = OPEN, .text = "f");
	assert_int_equal(b.rc, 0);
	b = ASK(.what = CLAIM, .desc = b.desc, .user = &other_module);
	says(&b, -EPERM, "already claimed by module fake");
	json = harness_json(&f.bdev);
	assert_true(json_is_true(json_object_get(json, "claimed")));
	assert_string_equal(json_string_value(json_object_get(json, "claim_type")),
			    "exclusive_write");
	json_decref(json);
	ASK(.what = RELEASE, .desc = a.desc);
	b = ASK(.what = CLAIM, .desc = b.desc, .user = &other_module);
	says(&b, -EPERM, "open for writing elsewhere");
	ASK(.what = CLOSE, .desc = a.desc);
	b = ASK(.what = CLAIM, .desc = b.desc, .user = &other_module);
	assert_int_equal(b.rc, 0);
	/* With its descriptor a claim goes. */
	ASK(.what = CLOSE, .desc = b.desc);
	a = ASK(.what = OPEN, .text = "f", .writable = true);
	assert_int_equal(a.rc, 0);
	ASK(.what = CLOSE, .desc = a.desc);
	fake_fini(&f);
}

/* --- sizes ---------------------------------------------------------------------------------- */

static void test_resize(void **state)
{
	struct ask a, desc;

	(void)state;
	assert_int_equal(ASK(.what = RESIZE, .bdev = &f.bdev, .blocks = 32).rc, 0);
	desc = ASK(.what = OPEN, .text = "f");
	assert_int_equal(ASK(.what = RESIZE, .bdev = &f.bdev, .blocks = 32).rc, 0);
	harness_settle();
	assert_int_equal(seen.resizes, 0);
	assert_int_equal(ASK(.what = RESIZE, .bdev = &f.bdev, .blocks = 64).rc, 0);
	harness_settle();
	assert_int_equal(seen.resizes, 1);
	a = ASK(.what = RESIZE, .bdev = &f.bdev, .blocks = 63);
	says(&a, -EBUSY, "from 64 to 63");
	a = ASK(.what = RESIZE, .bdev = &f.bdev, .blocks = 0);
	says(&a, -EINVAL, "0 blocks");
	a = ASK(.what = RESIZE, .bdev = &f.bdev, .blocks = UINT64_MAX);
	says(&a, -EINVAL, "2^63");
	assert_int_equal(bdev_num_blocks(&f.bdev), 64);
	ASK(.what = CLOSE, .desc = desc.desc);
	fake_fini(&f);
}

/* --- removal -------------------------------------------------------------------------------- */

static void test_remove_unused(void **state)
{
	(void)state;
	assert_int_equal(ASK(.what = UNREGISTER, .bdev = &f.bdev).rc, 0);
	harness_settle();
	assert_int_equal(seen.ends, 1);
	assert_int_equal(seen.result, 0);
	assert_null(find("f"));
	fake_free(&f);
}

static void test_remove_in_use(void **state)
{
	struct harness_channel ch, late;
	struct ask a, b, refused;

	(void)state;
	a = ASK(.what = OPEN, .text = "f");
	b = ASK(.what = OPEN, .text = "f");
	harness_get(&ch, a.desc, 0);
	assert_int_equal(ASK(.what = UNREGISTER, .bdev = &f.bdev).rc, 0);
	assert_int_equal(ASK(.what = UNREGISTER, .bdev = &f.bdev).rc, -EBUSY);
	refused = ASK(.what = OPEN, .text = "f");
	says(&refused, -ENODEV, "being removed");
	harness_settle();
	assert_int_equal(seen.removes, 2);
	assert_int_equal(seen.ends, 0);
	harness_get(&late, b.desc, 0);
	assert_int_equal(late.rc, -ENODEV);
	harness_put(&ch);
	ASK(.what = CLOSE, .desc = a.desc);
	harness_settle();
	assert_int_equal(seen.ends, 0);
	assert_false(f.destructed);
	ASK(.what = CLOSE, .desc = b.desc);
	harness_settle();
	assert_int_equal(seen.ends, 1);
	fake_free(&f);
}

static void test_close_inside_the_event(void **state)
{
	(void)state;
	seen.close_at_once = true;
	assert_int_equal(ASK(.what = OPEN, .text = "f").rc, 0);
	assert_int_equal(ASK(.what = UNREGISTER, .bdev = &f.bdev).rc, 0);
	harness_settle();
	assert_int_equal(seen.removes, 1);
	assert_int_equal(seen.ends, 1);
	fake_free(&f);
}

static void close_after_unregister(void *arg)
{
	struct ask *a = arg;

	a->rc = bdev_unregister(a->bdev, on_end, NULL);
	bdev_close(a->desc);
}

/* The event was on its way when the descriptor was closed: it is not told any more. */
static void test_close_before_the_event(void **state)
{
	struct ask a;

	(void)state;
	a = ASK(.what = OPEN, .text = "f");
	a.bdev = &f.bdev;
	harness_call(0, close_after_unregister, &a);
	harness_settle();
	assert_int_equal(seen.removes, 0);
	assert_int_equal(seen.ends, 1);
	fake_free(&f);
}

/* A channel that is put and got again in one turn stays the same one. */
static void put_and_get(void *arg)
{
	struct harness_channel *c = arg;
	struct bdev_channel *before = c->ch;

	bdev_channel_put(c->ch);
	c->rc = bdev_channel_get(c->desc, &c->ch);
	if (c->ch != before)
		c->rc = -ESTALE;
}

static void test_channel_is_shared(void **state)
{
	struct ask a = ASK(.what = OPEN, .text = "f");
	struct harness_channel one, two;

	(void)state;
	harness_get(&one, a.desc, 0);
	harness_get(&two, a.desc, 0);
	assert_ptr_equal(one.ch, two.ch);
	assert_int_equal(atomic_load(&f.channels), 1);
	harness_put(&two);
	harness_call(0, put_and_get, &one);
	assert_int_equal(one.rc, 0);
	harness_settle();
	assert_int_equal(atomic_load(&f.channels), 1);
	harness_put(&one);
	harness_settle();
	assert_int_equal(atomic_load(&f.channels), 0);
	ASK(.what = CLOSE, .desc = a.desc);
	fake_fini(&f);
}

/* --- examination ---------------------------------------------------------------------------- */

static void examined(void *arg)
{
	bdev_examine_done(&curious_module, arg);
}

static void module_here(void *arg)
{
	bdev_module_register(arg);
}

/* The last of the tests: the module stays. */
static void test_examine(void **state)
{
	(void)state;
	ASK(.what = WAIT_EXAMINE);
	harness_settle();
	assert_int_equal(seen.waited, 1);
	harness_call(0, module_here, &curious_module);
	fake_init(&g, 64);
	fake_register(&g, "g");
	harness_settle();
	assert_int_equal(seen.examined, 1);
	assert_ptr_equal(seen.examining, &g.bdev);
	ASK(.what = WAIT_EXAMINE);
	harness_settle();
	assert_int_equal(seen.waited, 1);
	harness_call(0, examined, &g.bdev);
	harness_settle();
	assert_int_equal(seen.waited, 2);
	fake_fini(&g);
	fake_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names_are_unique, setup, teardown),
		cmocka_unit_test_setup_teardown(test_named_by_uuid, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rename, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_claims, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resize, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove_unused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_inside_the_event, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_before_the_event, setup, teardown),
		cmocka_unit_test_setup_teardown(test_channel_is_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_examine, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
