/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running the repair program on an image.
 *
 * Threading: see mend.h.
 */
#include "mend.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

/* struct room - a folder with the image, what the program prints, and what it keeps */
struct room {
	char folder[64], image[80], printed[80], kept[80];
};

static void room_open(struct room *room)
{
	const char *base = getenv("TMPDIR");

	snprintf(room->folder, sizeof(room->folder), "%.40s/blob-crash.XXXXXX",
		 base != NULL ? base : "/tmp");
	if (mkdtemp(room->folder) == NULL)
		kit_die("%s: %m", room->folder);
	snprintf(room->image, sizeof(room->image), "%s/image", room->folder);
	snprintf(room->printed, sizeof(room->printed), "%s/printed", room->folder);
	snprintf(room->kept, sizeof(room->kept), "%s/kept", room->folder);
}

static void room_close(const struct room *room)
{
	unlink(room->image);
	unlink(room->printed);
	unlink(room->kept);
	rmdir(room->folder);
}

static void write_image(const struct room *room, struct disk *disk)
{
	uint64_t bytes = disk_bytes(disk), done = 0;
	int fd = open(room->image, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	while (fd >= 0 && done < bytes) {
		ssize_t n = write(fd, disk_data(disk) + done, bytes - done);

		if (n <= 0)
			break;
		done += (uint64_t)n;
	}
	if (fd < 0 || done < bytes || close(fd) < 0)
		kit_die("%s cannot be written: %m", room->image);
}

static void read_image(const struct room *room, struct disk *disk)
{
	uint64_t bytes = disk_bytes(disk);
	FILE *f = fopen(room->image, "re");
	uint8_t block[BLOCK];

	for (uint64_t i = 0; f != NULL && i < bytes / BLOCK; i++) {
		if (fread(block, BLOCK, 1, f) != 1)
			kit_die("%s cannot be read", room->image);
		if (memcmp(block, disk_data(disk) + i * BLOCK, BLOCK) != 0)
			disk_put(disk, i, block);
	}
	if (f == NULL || fclose(f) != 0)
		kit_die("%s cannot be read: %m", room->image);
}

static void read_text(const struct room *room, char *text, size_t size)
{
	FILE *f = fopen(room->printed, "re");
	size_t n = f != NULL ? fread(text, 1, size - 1, f) : 0;

	text[n] = '\0';
	if (f != NULL)
		fclose(f);
}

static int run(const char *tool, const struct room *room)
{
	const char *argv[] = { tool, "repair", "--yes", "--save", room->kept, room->image, NULL };
	posix_spawn_file_actions_t files;
	int status = 0, rc;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, room->printed,
					 O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
	rc = posix_spawn(&pid, tool, &files, NULL, (char **)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&files);
	if (rc != 0)
		kit_die("%s cannot be run: %s", tool, error_errno_text(-rc));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int mend_run(const char *tool, struct disk *disk, char *text, size_t size)
{
	struct room room;
	int code;

	room_open(&room);
	write_image(&room, disk);
	code = run(tool, &room);
	read_image(&room, disk);
	read_text(&room, text, size);
	room_close(&room);
	return code;
}
