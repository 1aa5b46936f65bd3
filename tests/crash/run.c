/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on the store that is recorded.
 *
 * Threading: see run.h.
 */
#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/internal.h"
#include "external.h"

struct run_io {
	struct run_io *next;
	struct kit_io *kio;
	struct record *record;
	struct change *change;
	uint32_t end;
	bool promise, unmap;
	int volume;
	uint64_t block, blocks;
	uint8_t *buffer;
};

/* --- data ------------------------------------------------------------------------------------- */

void data_fill(uint8_t *buffer, uint64_t block, uint64_t blocks, uint32_t value)
{
	uint64_t *word = (uint64_t *)(void *)buffer;

	for (uint64_t i = 0; i < blocks; i++) {
		for (unsigned int j = 0; j < BLOCK / 8; j++)
			*word++ = (uint64_t)value << 32 | (uint32_t)(block + i);
	}
}

static uint32_t of_word(uint64_t word, uint64_t block)
{
	if (word == 0)
		return 0;
	if (word == UINT64_C(0x0101010101010101) * POISON)
		return VALUE_POISON;
	if ((uint32_t)word != (uint32_t)block || word >> 32 == 0)
		return VALUE_GARBAGE;
	return (uint32_t)(word >> 32);
}

uint32_t data_value(const uint8_t *buffer, uint64_t block)
{
	const uint64_t *word = (const uint64_t *)(const void *)buffer;

	for (unsigned int j = 1; j < BLOCK / 8; j++) {
		if (word[j] != word[0])
			return VALUE_GARBAGE;
	}
	return of_word(word[0], block);
}

/* --- beginning and end ------------------------------------------------------------------------ */

static void options(struct blob_store_options *opts)
{
	blob_store_options_init(opts);
	opts->cluster_size = CLUSTER;
	opts->md_pages = STORE_MD_PAGES;
	opts->clear = BLOB_CLEAR_NONE;
	opts->esnap = external_ops();
}

static void make_store(struct run *r)
{
	struct error err = ERROR_INIT;
	struct blob_store_options opts;
	struct blob_store_info info;

	options(&opts);
	kit_must(blob_store_init(r->desc, &opts, &r->store, &err), &err);
	kit_attach(r->store);
	blob_store_info_get(r->store, &info);
	if (info.total_clusters - info.data_clusters !=
	    (STORE_MD_BLOCKS + CLUSTER_BLOCKS - 1) / CLUSTER_BLOCKS)
		kit_die("the layout is not the one that is cut by");
}

static void load_store(struct run *r, bool grow)
{
	struct blob_store_options opts;
	struct error err = ERROR_INIT;

	options(&opts);
	opts.grow = grow;
	kit_must(blob_store_load(r->desc, &opts, &r->store, &err), &err);
	kit_attach(r->store);
}

static void unload_store(struct run *r)
{
	struct error err = ERROR_INIT;

	if (r->store == NULL)
		return;
	kit_detach();
	kit_must(blob_store_unload(r->store, &err), &err);
	r->store = NULL;
}

void run_begin(struct run *r, uint64_t seed, bool unmap_zeroes)
{
	uint64_t bytes = (uint64_t)STORE_CLUSTERS * CLUSTER;

	*r = (struct run){ .random.state = seed, .late.state = ~seed };
	r->unmap_zeroes = unmap_zeroes;
	r->record = record_create();
	r->external = external_create();
	r->disk = disk_create("recorded", bytes, (uint64_t)STORE_CLUSTERS_MAX * CLUSTER,
			      unmap_zeroes);
	disk_record(r->disk, r->record, &r->late);
	r->desc = kit_open("recorded");
	kit_glass_open(BLOCK);
	make_store(r);
	r->model = model_create(CLUSTER_BLOCKS, STORE_CLUSTERS);
}

static struct volume *volume(struct run *r, int v)
{
	return &model_now(r->model)->volume[v];
}

static void open_all(struct run *r)
{
	struct error err = ERROR_INIT;

	for (int v = 0; v < (int)model_now(r->model)->count; v++) {
		if (volume(r, v)->there)
			kit_must(blob_open(r->store, volume(r, v)->id, &r->open[v], &err), &err);
	}
}

static void close_all(struct run *r)
{
	run_wait(r);
	for (int v = 0; v < MODEL_VOLUMES; v++) {
		if (r->open[v] != NULL)
			blob_close(r->open[v]);
		r->open[v] = NULL;
	}
}

void run_start(struct run *r)
{
	run_wait(r);
	if (model_now(r->model)->count > 0)
		run_flush(r, 0, 0);
	r->start = r->record->count;
	r->base = kit_alloc(disk_bytes(r->disk));
	memcpy(r->base, disk_data(r->disk), disk_bytes(r->disk));
}

void run_end(struct run *r)
{
	close_all(r);
	disk_record(r->disk, NULL, NULL);
	unload_store(r);
	kit_glass_close();
	bdev_close(r->desc);
	disk_delete(r->disk);
	disk_delete(r->external);
	model_finish(r->model);
	for (int v = 0; v < MODEL_VOLUMES; v++)
		free(r->own[v]);
}

void run_free(struct run *r)
{
	record_destroy(r->record);
	model_destroy(r->model);
	free(r->base);
}

/* --- changes of metadata ---------------------------------------------------------------------- */

static struct state *begin(struct run *r, const char *by)
{
	return model_step(r->model, by, record_note(r->record, EVENT_BEGIN, 0, false));
}

static void end(struct run *r, struct state *st)
{
	st->end = record_note(r->record, EVENT_END, 0, true);
}

static uint8_t *own_none(uint64_t clusters)
{
	return kit_alloc(clusters);
}

static struct blob_xattr label_of(uint32_t *label)
{
	return (struct blob_xattr){ .name = "name", .value = label, .len = sizeof(*label) };
}

static struct blob_xattr pad_of(const char *name, uint16_t len)
{
	static const uint8_t bytes[PAD_BYTES];

	return (struct blob_xattr){ .name = name, .value = bytes, .len = len };
}

static int add_volume(struct run *r, struct state *st, struct volume vol)
{
	struct error err = ERROR_INIT;
	int v = (int)st->count++;

	if (v == MODEL_VOLUMES)
		kit_die("a scenario makes more than %d volumes", MODEL_VOLUMES);
	vol.there = true;
	st->volume[v] = vol;
	r->own[v] = own_none(vol.clusters);
	end(r, st);
	kit_must(blob_open(r->store, vol.id, &r->open[v], &err), &err);
	return v;
}

/* As if written, durably, before everything else. */
static struct content *external_content(struct run *r, uint64_t blocks)
{
	struct content *c = model_content(r->model, blocks);
	uint64_t has = EXTERNAL_CLUSTERS * CLUSTER_BLOCKS;
	struct change *ch =
		model_change(r->model, c, 0, blocks < has ? blocks : has, EXTERNAL_VALUE, false, 0);

	ch->end = 0;
	ch->fua = true;
	return c;
}

int run_create(struct run *r, uint64_t clusters, unsigned int flags, enum blob_clear clear)
{
	struct volume vol = { .clusters = clusters, .parent = -1, .label = ++r->next_label };
	struct blob_xattr xattrs[3] = { label_of(&vol.label), pad_of(PAD_NAME_1, PAD_BYTES),
					pad_of(PAD_NAME_2, PAD_BYTES) };
	struct state *st = begin(r, "create");
	struct error err = ERROR_INIT;
	struct blob_options opts = { .clusters = clusters, .clear = clear, .xattrs = xattrs };

	vol.thin = opts.thin = (flags & CREATE_THIN) != 0;
	vol.pads = (flags & CREATE_PADDED) != 0 ? 2 : 0;
	opts.xattr_count = 1 + vol.pads;
	vol.content = model_content(r->model, clusters * CLUSTER_BLOCKS);
	if ((flags & CREATE_EXTERNAL) != 0) {
		opts.esnap_id = EXTERNAL_NAME;
		opts.esnap_id_len = sizeof(EXTERNAL_NAME);
		vol.thin = vol.external = true;
		vol.content = external_content(r, clusters * CLUSTER_BLOCKS);
	}
	kit_must(blob_create(r->store, &opts, &vol.id, &err), &err);
	return add_volume(r, st, vol);
}

/* Nothing makes such volumes any more: one without an extent page can be either. */
int run_create_runs(struct run *r, uint64_t clusters)
{
	int v = run_create(r, clusters, CREATE_THIN, BLOB_CLEAR_DEFAULT);

	r->open[v]->table = false;
	run_rename(r, v);
	return v;
}

void run_delete(struct run *r, int v)
{
	struct error err = ERROR_INIT;
	struct state *st;

	run_wait(r);
	blob_close(r->open[v]);
	r->open[v] = NULL;
	st = begin(r, "delete");
	kit_must(blob_delete(r->store, st->volume[v].id, &err), &err);
	st->volume[v].there = false;
	for (uint32_t i = 0; i < st->count; i++) {
		if (st->volume[i].there && st->volume[i].parent == v) {
			st->volume[i].parent = st->volume[v].parent;
			st->volume[i].external = st->volume[v].external;
			free(r->own[i]);
			r->own[i] = NULL;
		}
	}
	end(r, st);
}

void run_resize(struct run *r, int v, uint64_t clusters)
{
	struct state *st = begin(r, "resize");
	struct error err = ERROR_INIT;

	kit_must(blob_resize(r->open[v], clusters, &err), &err);
	st->volume[v].content = model_content_copy(r->model, volume(r, v)->content,
						   clusters * CLUSTER_BLOCKS, false);
	st->volume[v].clusters = clusters;
	free(r->own[v]);
	r->own[v] = NULL;
	end(r, st);
}

/* An unmap that a snapshot overtakes does nothing, so there may be none; writes go on. */
static void before_snapshot(struct run *r, int v)
{
	if (r->flying == NULL)
		return;
	free(r->own[v]);
	r->own[v] = NULL;
	for (const struct run_io *io = r->flying; io != NULL; io = io->next) {
		if (io->unmap) {
			run_wait(r);
			return;
		}
	}
}

int run_snapshot(struct run *r, int v)
{
	struct volume snap = *volume(r, v);
	struct error err = ERROR_INIT;
	struct blob_xattr xattr;
	struct state *st;

	before_snapshot(r, v);
	st = begin(r, "snapshot");
	snap.label = ++r->next_label;
	snap.pads = snap.pad = 0;
	snap.read_only = true;
	xattr = label_of(&snap.label);
	snap.content =
		model_content_copy(r->model, snap.content, snap.clusters * CLUSTER_BLOCKS, true);
	kit_must(blob_snapshot(r->open[v], &xattr, 1, &snap.id, &err), &err);
	st->volume[v].thin = true;
	st->volume[v].external = false;
	st->volume[v].parent = (int)st->count;
	if (r->own[v] != NULL)
		memset(r->own[v], 0, snap.clusters);
	return add_volume(r, st, snap);
}

int run_clone(struct run *r, int v)
{
	struct state *st = begin(r, "clone");
	struct volume clone = st->volume[v];
	struct error err = ERROR_INIT;
	struct blob_xattr xattr;

	clone.thin = true;
	clone.read_only = clone.external = false;
	clone.pads = clone.pad = 0;
	clone.parent = v;
	clone.label = ++r->next_label;
	xattr = label_of(&clone.label);
	kit_must(blob_clone(r->open[v], &xattr, 1, &clone.id, &err), &err);
	clone.content =
		model_content_copy(r->model, clone.content, clone.clusters * CLUSTER_BLOCKS, false);
	return add_volume(r, st, clone);
}

void run_inflate(struct run *r, int v)
{
	struct state *st = begin(r, "inflate");
	struct error err = ERROR_INIT;

	kit_must(blob_inflate(r->open[v], &err), &err);
	st->volume[v].thin = st->volume[v].external = false;
	st->volume[v].parent = -1;
	end(r, st);
}

void run_decouple(struct run *r, int v)
{
	struct state *st = begin(r, "decouple");
	struct error err = ERROR_INIT;

	kit_must(blob_decouple(r->open[v], &err), &err);
	st->volume[v].external = st->volume[st->volume[v].parent].external;
	st->volume[v].parent = st->volume[st->volume[v].parent].parent;
	free(r->own[v]);
	r->own[v] = NULL;
	end(r, st);
}

/* What it wrote itself stays; the rest is the new parent's. */
static struct content *on_parent(struct run *r, int v, const struct content *parent)
{
	uint64_t blocks = volume(r, v)->content->blocks;
	struct content *own = model_content_copy(r->model, volume(r, v)->content, blocks, false);
	struct content *mixed = model_content_copy(r->model, parent, blocks, false);

	for (uint64_t i = 0; i < blocks; i++) {
		struct past past = mixed->block[i];

		if (r->own[v][i / CLUSTER_BLOCKS] == 0)
			continue;
		mixed->block[i] = own->block[i];
		own->block[i] = past;
	}
	return mixed;
}

void run_set_parent(struct run *r, int v, int parent)
{
	struct error err = ERROR_INIT;
	struct state *st;

	run_wait(r);
	run_flush(r, v, 0);
	st = begin(r, "set parent");
	kit_must(blob_set_parent(r->open[v], r->open[parent], &err), &err);
	st->volume[v].content = on_parent(r, v, st->volume[parent].content);
	st->volume[v].parent = parent;
	st->volume[v].external = false;
	end(r, st);
}

void run_set_external(struct run *r, int v)
{
	struct error err = ERROR_INIT;
	struct state *st;

	run_wait(r);
	run_flush(r, v, 0);
	st = begin(r, "set external parent");
	kit_must(blob_set_esnap_parent(r->open[v], EXTERNAL_NAME, sizeof(EXTERNAL_NAME), &err),
		 &err);
	st->volume[v].content =
		on_parent(r, v, external_content(r, st->volume[v].clusters * CLUSTER_BLOCKS));
	st->volume[v].parent = -1;
	st->volume[v].external = true;
	end(r, st);
}

void run_rename(struct run *r, int v)
{
	struct state *st = begin(r, "rename");
	struct error err = ERROR_INIT;
	struct blob_xattr xattr;

	st->volume[v].label = ++r->next_label;
	xattr = label_of(&st->volume[v].label);
	kit_must(blob_xattr_set(r->open[v], &xattr, 1, &err), &err);
	end(r, st);
}

void run_pad(struct run *r, int v, uint16_t bytes)
{
	struct blob_xattr xattr = pad_of(PAD_NAME, bytes);
	struct state *st = begin(r, "set xattr");
	struct error err = ERROR_INIT;

	st->volume[v].pad = bytes;
	kit_must(blob_xattr_set(r->open[v], &xattr, 1, &err), &err);
	end(r, st);
}

void run_read_only(struct run *r, int v)
{
	struct error err = ERROR_INIT;
	struct state *st;

	run_wait(r);
	st = begin(r, "set read-only");
	kit_must(blob_set_read_only(r->open[v], &err), &err);
	st->volume[v].read_only = true;
	end(r, st);
}

void run_set_super(struct run *r, int v)
{
	struct state *st = begin(r, "set root blob");
	struct error err = ERROR_INIT;

	st->super = st->volume[v].id;
	kit_must(blob_store_set_super(r->store, st->super, &err), &err);
	end(r, st);
}

static void enlarge(struct run *r)
{
	struct error err = ERROR_INIT;

	kit_must(bdev_resize(disk_bdev(r->disk), (uint64_t)STORE_CLUSTERS_MAX * CLUSTER_BLOCKS,
			     &err),
		 &err);
}

void run_grow(struct run *r)
{
	struct error err = ERROR_INIT;
	struct state *st = begin(r, "grow");

	enlarge(r);
	kit_must(blob_store_grow(r->store, &err), &err);
	st->clusters = STORE_CLUSTERS_MAX;
	end(r, st);
}

static void unload(struct run *r)
{
	struct state *st;

	close_all(r);
	if (r->store == NULL)
		return;
	st = begin(r, "unload");
	unload_store(r);
	end(r, st);
}

void run_reload(struct run *r)
{
	unload(r);
	load_store(r, false);
	open_all(r);
}

void run_grow_at_load(struct run *r)
{
	struct state *st;

	unload(r);
	enlarge(r);
	st = begin(r, "grow at load");
	load_store(r, true);
	st->clusters = STORE_CLUSTERS_MAX;
	end(r, st);
	open_all(r);
}

static void forget_volumes(struct run *r, struct state *st)
{
	for (uint32_t v = 0; v < st->count; v++) {
		st->volume[v].there = false;
		free(r->own[v]);
		r->own[v] = NULL;
	}
	st->super = BLOB_ID_NONE;
}

void run_destroy(struct run *r)
{
	struct error err = ERROR_INIT;
	struct state *st;

	close_all(r);
	kit_detach();
	st = begin(r, "destroy");
	kit_must(blob_store_destroy(r->store, &err), &err);
	r->store = NULL;
	forget_volumes(r, st);
	st->none = true;
	end(r, st);
}

void run_init(struct run *r)
{
	struct state *st;

	unload(r);
	st = begin(r, "init");
	st->anew = true;
	make_store(r);
	forget_volumes(r, st);
	st->none = false;
	end(r, st);
}

/* --- data ------------------------------------------------------------------------------------- */

static void ended(struct kit_io *kio)
{
	struct run_io *io = kio->arg;

	io->end = record_note(io->record, EVENT_END, 0, io->promise);
	if (io->change != NULL)
		io->change->end = io->end;
}

void run_wait(struct run *r)
{
	while (r->flying != NULL) {
		struct run_io *io = r->flying;

		r->flying = io->next;
		kit_must(kit_io_wait(io->kio), NULL);
		free(io->buffer);
		free(io);
	}
}

/* Of two that are in the air at the same time nobody knows which one comes last. */
static void wait_if_crossing(struct run *r, int v, uint64_t block, uint64_t blocks)
{
	for (const struct run_io *io = r->flying; io != NULL; io = io->next) {
		if (io->volume == v && block < io->block + io->blocks &&
		    io->block < block + blocks) {
			run_wait(r);
			return;
		}
	}
}

static void mark_own(struct run *r, int v, uint64_t block, uint64_t blocks)
{
	for (uint64_t i = block; r->own[v] != NULL && i < block + blocks; i++)
		r->own[v][i / CLUSTER_BLOCKS] = 1;
}

struct want {
	enum bdev_io_type type;
	uint32_t value;
	bool soft, fua;
};

static void start(struct run *r, int v, unsigned int reactor, uint64_t block, uint64_t blocks,
		  const struct want *want)
{
	struct run_io *io = kit_alloc(sizeof(*io));
	uint32_t at;

	wait_if_crossing(r, v, block, blocks);
	*io = (struct run_io){ .next = r->flying, .record = r->record, .promise = want->fua };
	io->unmap = want->type == BDEV_IO_UNMAP;
	io->volume = v;
	io->block = block;
	io->blocks = blocks;
	if (want->type == BDEV_IO_WRITE) {
		io->buffer = kit_alloc(blocks * BLOCK);
		data_fill(io->buffer, block, blocks, want->value);
	}
	at = record_note(r->record, EVENT_BEGIN, 0, false);
	io->change = model_change(r->model, volume(r, v)->content, block, blocks, want->value,
				  want->soft, at);
	io->change->fua = want->fua;
	r->flying = io;
	io->kio = kit_io_start(reactor % reactor_count(), r->open[v], want->type, io->buffer, block,
			       blocks, want->fua ? BDEV_IO_FUA : 0, ended, io);
}

void run_write(struct run *r, int v, unsigned int reactor, uint64_t block, uint64_t blocks,
	       bool fua)
{
	struct want want = { .type = BDEV_IO_WRITE, .value = ++r->next_value, .fua = fua };

	mark_own(r, v, block, blocks);
	start(r, v, reactor, block, blocks, &want);
}

void run_zeroes(struct run *r, int v, unsigned int reactor, uint64_t block, uint64_t blocks)
{
	struct want want = { .type = BDEV_IO_WRITE_ZEROES };

	mark_own(r, v, block, blocks);
	start(r, v, reactor, block, blocks, &want);
}

/*
 * It settles blocks where they read as zeroes for sure: where the disk zeroes, and where whole
 * clusters become holes. Where a parent shows in the holes it may do nothing.
 */
void run_unmap(struct run *r, int v, unsigned int reactor, uint64_t block, uint64_t blocks)
{
	const struct volume *vol = volume(r, v);
	bool whole = block % CLUSTER_BLOCKS == 0 && blocks % CLUSTER_BLOCKS == 0;
	struct want want = { .type = BDEV_IO_UNMAP };

	want.soft = vol->parent >= 0 || vol->external || !(r->unmap_zeroes || (vol->thin && whole));
	start(r, v, reactor, block, blocks, &want);
}

void run_flush(struct run *r, int v, unsigned int reactor)
{
	struct run_io io = { .record = r->record, .promise = true };
	uint32_t at = record_note(r->record, EVENT_BEGIN, 0, false);

	kit_must(kit_io_wait(kit_io_start(reactor % reactor_count(), r->open[v], BDEV_IO_FLUSH,
					  NULL, 0, 1, 0, ended, &io)),
		 NULL);
	model_flush(r->model, at, io.end);
}

void run_put(struct run *r, int v, uint64_t block, uint64_t blocks)
{
	run_write(r, v, 0, block, blocks, false);
	run_wait(r);
	run_flush(r, v, 0);
}
