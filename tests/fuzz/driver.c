/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-blob: the same without libFuzzer: seeds and files, and so many mutations of each, which a
 * seed gives again. It also writes the seeds for libFuzzer, and packs images.
 *
 * Threading: a fiber of reactor 0.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"
#include "image.h"
#include "kit.h"

struct args {
	const char *seeds, *pack;
	uint64_t count, seed;
	bool help;
	char **files;
	int file_count;
};

static char looking_at[512];

static void dying(int sig)
{
	ssize_t n = write(STDERR_FILENO, looking_at, strlen(looking_at));

	(void)n;
	signal(sig, SIG_DFL);
	raise(sig);
}

/* --- files ------------------------------------------------------------------------------------ */

static uint8_t *read_file(const char *path, size_t max, size_t *len)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	uint8_t *bytes = kit_alloc(max);

	if (f == NULL)
		kit_die("%s: %m", path);
	*len = fread(bytes, 1, max, f);
	if (f != stdin)
		fclose(f);
	return bytes;
}

static void write_file(const char *path, const struct image *image)
{
	FILE *f = fopen(path, "wb");

	if (f == NULL || fwrite(image->bytes, 1, image->len, f) != image->len || fclose(f) != 0)
		kit_die("%s: %m", path);
}

/* A raw image comes on standard input. */
static void pack(const char *to)
{
	size_t len;
	uint8_t *disk = read_file("-", IMAGE_DISK_BYTES, &len);
	struct image image;

	if (len < 4096)
		kit_die("standard input has no image");
	image = image_pack(disk, len / 4096 * 4096);
	write_file(to, &image);
	free(image.bytes);
	free(disk);
}

static void write_seeds(const char *directory)
{
	struct image image;
	char path[4096];
	const char *name;

	kit_glass_open(512);
	for (unsigned int i = 0; image_seed(i, &name, &image); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, name);
		write_file(path, &image);
		free(image.bytes);
	}
	kit_glass_close();
}

/* --- trials ----------------------------------------------------------------------------------- */

static void try_many(const struct args *args, const char *name, const uint8_t *bytes, size_t len)
{
	uint8_t *copy = kit_alloc(IMAGE_BYTES_MAX);
	struct random random;

	image_try(bytes, len);
	for (uint64_t i = 0; i < args->count; i++) {
		size_t now = len;

		snprintf(looking_at, sizeof(looking_at), "died of: %s, --seed %" PRIu64 "\n", name,
			 args->seed + i);
		random.state = args->seed + i;
		memcpy(copy, bytes, len);
		now = image_mutate(copy, now, IMAGE_BYTES_MAX, &random);
		image_try(copy, now);
	}
	free(copy);
	printf("%s: %" PRIu64 " mutations\n", name, args->count);
}

static void try_seeds(const struct args *args)
{
	struct image image[16];
	const char *names[16];
	unsigned int count = 0;

	kit_glass_open(512);
	while (image_seed(count, &names[count], &image[count]))
		count++;
	kit_glass_close();
	image_open();
	for (unsigned int i = 0; i < count; i++) {
		try_many(args, names[i], image[i].bytes, image[i].len);
		free(image[i].bytes);
	}
	image_close();
}

static void try_files(const struct args *args)
{
	image_open();
	for (int i = 0; i < args->file_count; i++) {
		size_t len;
		uint8_t *bytes = read_file(args->files[i], IMAGE_BYTES_MAX, &len);

		try_many(args, args->files[i], bytes, len);
		free(bytes);
	}
	image_close();
}

static void run(void *arg)
{
	const struct args *args = arg;

	if (args->pack != NULL)
		pack(args->pack);
	else if (args->seeds != NULL)
		write_seeds(args->seeds);
	else if (args->file_count > 0)
		try_files(args);
	else
		try_seeds(args);
}

int main(int argc, char **argv)
{
	struct args args = { .count = 200, .seed = 1 };
	const struct option_row rows[] = {
		{ .name = "count",
		  .kind = OPTION_U64,
		  .value = "N",
		  .max = UINT32_MAX,
		  .help = "mutations of each image",
		  .out = &args.count },
		{ .name = "seed",
		  .kind = OPTION_U64,
		  .value = "N",
		  .max = UINT32_MAX,
		  .help = "of the first mutation",
		  .out = &args.seed },
		{ .name = "write-seeds",
		  .kind = OPTION_STRING,
		  .value = "DIR",
		  .help = "write the images that are made here, and end",
		  .out = &args.seeds },
		{ .name = "pack",
		  .kind = OPTION_STRING,
		  .value = "FILE",
		  .help = "write the short form of the raw image on standard input, and end",
		  .out = &args.pack },
		{ .name = "help",
		  .letter = 'h',
		  .kind = OPTION_FLAG,
		  .help = "this text",
		  .out = &args.help },
		{ .name = NULL },
	};
	struct error err = ERROR_INIT;
	int left = options_parse(argc, argv, rows, false, &err);

	if (left < 0) {
		fprintf(stderr, "fuzz-blob: %s\n", err.text);
		return 2;
	}
	if (args.help) {
		printf("usage: fuzz-blob [OPTION...] [IMAGE...]\n");
		options_help(stdout, rows);
		return 0;
	}
	args.files = argv + 1;
	args.file_count = left;
	log_set_level(LOG_DISABLED);
	log_set_print_level(LOG_DISABLED);
	signal(SIGABRT, dying);
	kit_fiber(1, run, &args);
	return 0;
}
