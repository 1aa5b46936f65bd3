/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets as text and in files. The last of the good ones is from libnvme's own tests. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/key_file.h"

#define TEXT_32 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+KfiaR:"
#define TEXT_48 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vcSEgBQ==:"

static void check(const char *text, const struct key_form *form, uint8_t len, uint8_t hash)
{
	struct error err = ERROR_INIT;
	struct key key;

	if (key_parse(text, form, &key, &err))
		fail_msg("%s", err.text);
	assert_int_equal(key.len, len);
	assert_int_equal(key.hash, hash);
	assert_int_equal(key.line_end, text[strlen(text) - 1] == '\n');
}

static void test_keys(void **state)
{
	struct key key;

	(void)state;
	check("DHHC-1:00:" TEXT_32, &key_form_dhchap, 32, 0);
	check("DHHC-1:00:" TEXT_32 "\n", &key_form_dhchap, 32, 0);
	check("DHHC-1:02:" TEXT_48, &key_form_dhchap, 48, 2);
	check("NVMeTLSkey-1:00:" TEXT_32, &key_form_tls, 32, 0);
	check("NVMeTLSkey-1:00:" TEXT_48, &key_form_tls, 48, 0);
	check("NVMeTLSkey-1:02:" TEXT_48 "\r\n", &key_form_tls, 48, 2);
	check("NVMeTLSkey-1:01:VRLbtnN9AQb2WXW3c9+wEf/DRLz0QuLdbYvEhwtdWwNf9LrZ:", &key_form_tls,
	      32, 1);
	assert_int_equal(key_parse("DHHC-1:00:" TEXT_48, &key_form_dhchap, &key, NULL), 0);
	for (uint8_t i = 0; i < 48; i++)
		assert_int_equal(key.bytes[i], i);
}

static void refuse(const char *text, const struct key_form *form)
{
	struct error err = ERROR_INIT;
	struct key key;

	assert_int_equal(key_parse(text, form, &key, &err), -EINVAL);
	assert_text_has(err.text, form->prefix);
	assert_null(strstr(err.text, "AAEC"));
	assert_int_equal(key.len, 0);
}

static void test_security_wrong_keys_are_refused_without_their_text(void **state)
{
	static const char *const bad[] = {
		"",
		"DHHC-1:",
		"DHHC-1:04:" TEXT_32,
		"DHHC-1:10:" TEXT_32,
		"DHHC-1:00:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+KfiaR",
		"DHHC-1:00:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+KfiaS:",
		"DHHC-1:00:" TEXT_32 "x",
		"DHHC-1:00:" TEXT_32 "\nx",
		"DHHC-1:00:AAEC:",
		"DHHC-1:00::",
		"DHHC-1:00:=:",
		"DHHC-1:00:====:",
		"DHHC-1:00:A:",
		"DHHC-1:00:!!!!:",
		"DHHC-1:01:" TEXT_48,
		"NVMeTLSkey-1:01:" TEXT_32,
	};
	static const char *const bad_tls[] = {
		"DHHC-1:00:" TEXT_32,	    "NVMeTLSkey-1:03:" TEXT_32, "NVMeTLSkey-1:01:" TEXT_48,
		"NVMeTLSkey-1:02:" TEXT_32, "NVMeTLSkey-2:01:" TEXT_32, "NVMeTLSkey-1:1:" TEXT_32,
	};
	char longer[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuse(bad[i], &key_form_dhchap);
	for (size_t i = 0; i < sizeof(bad_tls) / sizeof(bad_tls[0]); i++)
		refuse(bad_tls[i], &key_form_tls);
	memset(longer, 'A', sizeof(longer));
	memcpy(longer, "DHHC-1:00:", 10);
	memcpy(longer + sizeof(longer) - 2, ":", 2);
	refuse(longer, &key_form_dhchap);
}

static int read_file(const char *text, mode_t mode, struct error *err)
{
	char path[] = "/tmp/test-key-XXXXXX";
	int fd = mkstemp(path), rc;
	struct key key;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	rc = key_file_read(path, &key_form_tls, &key, err);
	unlink(path);
	return rc;
}

static void test_security_files_that_others_may_read_are_refused(void **state)
{
	struct error err = ERROR_INIT;
	struct key key;

	(void)state;
	assert_int_equal(read_file("NVMeTLSkey-1:01:" TEXT_32, 0600, &err), 0);
	assert_int_equal(read_file("NVMeTLSkey-1:01:" TEXT_32, 0640, &err), -EPERM);
	assert_text_has(err.text, "chmod 600");
	assert_int_equal(read_file("NVMeTLSkey-1:01:" TEXT_32, 0602, &err), -EPERM);
	assert_int_equal(read_file("password", 0600, &err), -EINVAL);
	assert_int_equal(key_file_read("/dev/null", &key_form_tls, &key, &err), -EINVAL);
	assert_int_equal(key_file_read("/nonexistent/key", &key_form_tls, &key, &err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_security_wrong_keys_are_refused_without_their_text),
		cmocka_unit_test(test_security_files_that_others_may_read_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
