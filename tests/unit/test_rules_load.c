// SPDX-License-Identifier: LGPL-2.1-or-later
/* Rule files: every mistake has its place and its remedy; the shipped set is right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rules/rule_impl.h"
#include "rules_builtin.h"
#include "util/syscall.h"
#include "util/xalloc.h"

#define MS 1000000ULL

/* A correct rule with one place each to put a mistake; lines are counted in the tests. */
#define HEAD "{\"id\":\"r\",\"title\":\"t\",\"why\":\"w\",\"advice\":\"a\",\n"
#define LEVEL                                                                                      \
	"[{\"level\":\"warning\",\"when\":[{\"field\":\"poll.length\",\"op\":\">=\",\"value\":\"1ms\"}]}]"
#define CASE "{\"scope\":\"poll\",\"severity\":" LEVEL ",\"message\":\"{site}\"}"
#define CASES "\"cases\":[" CASE "]"
#define COND(field, op, value)                                                                        \
	HEAD "\"cases\":[{\"scope\":\"poll\",\"message\":\"m\",\"severity\":[{\"level\":\"warning\"," \
	     "\"when\":[\n{\"field\":" field ",\"op\":" op ",\"value\":" value "}]}]}]}"
#define MESSAGE(text)                                                                              \
	HEAD "\"cases\":[{\"scope\":\"poll\",\"severity\":" LEVEL ",\n\"message\":" text "}]}"
#define PARAM(text) HEAD "\"params\":{" text "},\n" CASES "}"
#define WITH(text) HEAD text ",\n" CASES "}"

static const struct mistake {
	const char *text;
	const char *says;   /* "line:column: beginning of the words", after "file:" */
	const char *remedy; /* somewhere in it */
} mistakes[] = {
	/* the text */
	{"", "1:1: the file is empty", "one JSON object"},
	{"\n  ", "2:3: the file is empty", "one JSON object"},
	{"[]", "1:1: a rule is one JSON object", "'{'"},
	{"\xef\xbb\xbf{}", "1:1: the file starts with a byte order mark", "UTF-8 without"},
	{"{\"id\":\"\xff\"}", "1:8: byte 0xff is not valid UTF-8", "UTF-8"},
	{"{\"id\":\"\xc0\x80\"}", "1:8: byte 0xc0 is not valid UTF-8", "UTF-8"},
	{"{\"id\":\"\xed\xa0\x80\"}", "1:8: byte 0xed", "UTF-8"},
	{HEAD CASES "}x", "2:137: text after the end", "one rule"},
	{HEAD CASES "}{}", "2:137: text after the end", "one rule"},
	{"{\"id\":\"r\",}", "1:11: a comma before the closing bracket", "remove"},
	{"{\"id\" \"r\"}", "1:7: a ':' is expected", ":"},
	{"{\"id\":\"r\"\n\"title\":\"t\"}", "2:1: a ',' or '}' is expected", "comma"},
	{"{\"id\":\"r\"", "1:1: this '{' is never closed", "'}' is missing"},
	{"{\"id\":\"r", "1:7: this string does not end", "missing"},
	{"{\"id\":\"a\nb\"}", "1:7: this string does not end", "\\n"},
	{"{\"id\":\"a\tb\"}", "1:9: a raw control character", "\\t"},
	{"{\"id\":\"\\x\"}", "1:8: this escape is not allowed", "\\\\"},
	{"{\"id\":\"\\u0000\"}", "1:8: an escaped control character", "visible"},
	{"{\"id\":\"\\u001b[31m\"}", "1:8: an escaped control character", "visible"},
	{"{\"id\":\"\\ud800\"}", "1:8: an escaped surrogate", "UTF-8"},
	{"{\"id\":\"\\u12\"}", "1:8: \\u needs four", "\\u00e9"},
	{"{id:\"r\"}", "1:2: a key in quotes", "\"id\""},
	{"{\"id\":'r'}", "1:7: strings are written with \"", "'"},
	{"{\"id\":r}", "1:7: unknown word \"r\"", "quotes"},
	{"{\"id\":1 // one\n}", "1:9: a ',' or '}'", ","},
	{"{// one\n}", "1:2: a key in quotes", "\"id\""},
	{"{\"id\":/**/1}", "1:7: JSON has no comments", "why"},
	{"{\"id\":01}", "1:7: not a number", "100"},
	{"{\"id\":1.}", "1:7: not a number", "point"},
	{"{\"id\":+1}", "1:7: a value is expected", "a number"},
	{"{\"id\":NaN}", "1:7: unknown word", "quotes"},
	{"{\"id\":}", "1:7: a value is expected", "string"},
	{"{\"a\":[[[[[[[[[[[[1]]]]]]]]]]]]}", "1:17: nested too deeply", "12"},
	/* keys and types */
	{HEAD "\"titel\":\"x\"," CASES "}", "2:1: unknown key \"titel\"",
	 "did you mean \"title\"?"},
	{HEAD "\"frobnicate\":1," CASES "}", "2:1: unknown key", "the keys here are id, title"},
	{HEAD "\"id\":\"r\"," CASES "}", "2:1: the key \"id\" is here twice", "remove"},
	{HEAD "\"link\":1," CASES "}", "2:8: \"link\" needs text in quotes", "quotes"},
	{HEAD "\"cases\":{}}", "2:9: \"cases\" needs a list", "[ ... ]"},
	{HEAD "\"cases\":[]}", "2:9: a rule without a case", "write one"},
	{HEAD "\"cases\":[1]}", "2:10: this entry needs an object", "{ ... }"},
	{"{\"title\":\"t\"}", "1:1: \"id\" is missing", "write \"id\": \"my-rule\""},
	{"{\"id\":\"r\",\"title\":\"t\",\"why\":\"w\",\"advice\":\"a\"}",
	 "1:1: \"cases\" is missing", "\"cases\": ["},
	{HEAD "\"cases\":[{\"scope\":\"poll\",\"severity\":" LEVEL "}]}",
	 "2:10: \"message\" is missing", "{site}"},
	{HEAD "\"cases\":[\n{\"scope\":\"poll\",\"message\":\"m\"}]}",
	 "3:1: \"severity\" is missing", "when"},
	{HEAD
	 "\"cases\":[{\"scope\":\"poll\",\"message\":\"m\",\"severity\":[\n{\"level\":\"warning\"}]}]}",
	 "3:1: \"when\" is missing", "\"field\""},
	{HEAD
	 "\"cases\":[{\"scope\":\"poll\",\"message\":\"m\",\"severity\":[\n{\"level\":\"warning\",\"when\":[]}]}]}",
	 "3:27: an empty list always holds", "condition"},
	{HEAD "\"cases\":[{\"scope\":\"poll\",\"message\":\"m\",\"severity\":[]}]}",
	 "2:51: no level", "warning"},
	{HEAD "\"cases\":[{\"scope\":\"pole\",\"message\":\"m\",\"severity\":" LEVEL "}]}",
	 "2:19: unknown scope \"pole\"", "did you mean poll"},
	{HEAD "\"cases\":[{\"scope\":\"galaxies\",\"message\":\"m\",\"severity\":" LEVEL "}]}",
	 "2:19: unknown scope \"galaxies\"", "poll, site, worker, runtime, target"},
	{HEAD
	 "\"cases\":[{\"scope\":\"poll\",\"message\":\"m\",\"severity\":[{\"level\":\"error\",\"when\":[]}]}]}",
	 "2:61: unknown level \"error\"", "info, warning, critical"},
	{HEAD "\"cases\":[{\"scope\":\"poll\",\"message\":\"m\",\"for\":\"1s\",\"severity\":" LEVEL
	      "}]}",
	 "2:40: \"for\" has no sense", "poll.length"},
	{"{\"id\":\"My Rule\",\"title\":\"t\",\"why\":\"w\",\"advice\":\"a\"," CASES "}",
	 "1:7: bad name \"My Rule\"", "a-z"},
	{"{\"id\":\"\",\"title\":\"t\",\"why\":\"w\",\"advice\":\"a\"," CASES "}", "1:7: bad name",
	 "a-z"},
	{"{\"id\":\"r\",\"title\":\"a\\nb\",\"why\":\"w\",\"advice\":\"a\"," CASES "}",
	 "1:19: this text must be one line", "line"},
	{"{\"id\":\"r\",\"title\":\"\",\"why\":\"w\",\"advice\":\"a\"," CASES "}",
	 "1:19: empty text", "say"},
	{WITH("\"enabled\":\"no\""), "2:11: \"enabled\" needs true or false", "true"},
	{WITH("\"group\":\"sites\""), "2:9: unknown group \"sites\"", "did you mean site"},
	{HEAD
	 "\"group\":\"worker\",\"cases\":[{\"scope\":\"site\",\"message\":\"m\",\"severity\":[]}]}",
	 "2:36: scope \"site\" does not tell the worker", "group"},
	/* conditions */
	{COND("\"poll.blokked\"", "\">=\"", "\"1ms\""), "3:10: unknown field \"poll.blokked\"",
	 "did you mean \"poll.blocked\"?"},
	{COND("\"xyz\"", "\">=\"", "\"1ms\""), "3:10: unknown field \"xyz\"", "docs/rules.md"},
	{COND("\"poll.length\"", "\"=>\"", "\"1ms\""), "3:29: unknown operator \"=>\"",
	 "use one of >=, >"},
	{COND("\"poll.length\"", "\">=\"", "\"10\""), "3:42: \"10\" has no unit", "\"10ms\""},
	{COND("\"poll.length\"", "\">=\"", "10"), "3:42: wrong unit: poll.length takes a duration",
	 "\"10ms\""},
	{COND("\"poll.length\"", "\">=\"", "\"5%\""), "3:42: wrong unit", "\"10ms\""},
	{COND("\"poll.length\"", "\">=\"", "\"-5ms\""), "3:42: \"-5ms\" is not a value",
	 "\"10ms\""},
	{COND("\"poll.length\"", "\">=\"", "\"soon\""), "3:42: \"soon\" is not a value",
	 "\"10ms\""},
	{COND("\"poll.length\"", "\">=\"", "null"), "3:42: a value is needed", "\"10ms\""},
	{COND("\"poll.length\"", "\">=\"", "[1]"), "3:42: a value is needed", "\"10ms\""},
	{COND("\"site.live\"", "\">=\"", "-1"), "3:40: the number is out of range", "0 to"},
	{COND("\"site.live\"", "\">=\"", "\"10ms\""), "3:40: wrong unit: site.live takes a number",
	 "100"},
	{COND("\"worker.blocked_share\"", "\">=\"", "0.05"), "3:51: wrong unit", "\"5%\""},
	{COND("\"site.task_bytes\"", "\">=\"", "100"), "3:46: wrong unit", "\"16KiB\""},
	{COND("\"poll.open\"", "\">=\"", "true"), "3:27: yes or no has no order", "=="},
	{COND("\"poll.open\"", "\"==\"", "1"), "3:40: wrong unit", "true or false"},
	{COND("\"poll.length\"", "\">=\"", "\"$slow\""), "3:42: no parameter \"slow\"", "add it"},
	{COND("\"poll.length\"", "\">=\"", "{\"field\":\"site.live\"}"), "3:51: wrong unit",
	 "like with like"},
	{COND("\"poll.length\"", "\">=\"", "{\"field\":\"site.poll_p99\",\"times\":-1}"),
	 "3:75: the factor", "0 to"},
	{COND("\"poll.length\"", "\">=\"", "{\"feild\":\"site.poll_p99\"}"), "3:43: unknown key",
	 "field"},
	{HEAD
	 "\"cases\":[{\"scope\":\"site\",\"message\":\"m\",\"severity\":[{\"level\":\"warning\",\"when\":[\n"
	 "{\"field\":\"poll.length\",\"op\":\">\",\"value\":\"1ms\"}]}]}]}",
	 "3:10: the field \"poll.length\" is not there in scope \"site\"", "change"},
	{HEAD
	 "\"cases\":[{\"scope\":\"poll\",\"message\":\"m\",\"severity\":[{\"level\":\"warning\",\"when\":[\n"
	 "{\"any\":[]}]}]}]}",
	 "3:8: an empty list never holds", "condition"},
	{HEAD
	 "\"cases\":[{\"scope\":\"poll\",\"message\":\"m\",\"severity\":[{\"level\":\"warning\",\"when\":[\n"
	 "{\"any\":[{\"any\":[]}]}]}]}]}",
	 "3:10: unknown key \"any\"", "field"},
	/* messages */
	{MESSAGE("\"in {sight}\""), "3:15: unknown placeholder {sight}", "{site}"},
	{MESSAGE("\"\\n\""), "3:11: this text must be one line", "line"},
	{MESSAGE("\"{site\""), "3:12: this '{' has no '}'", "{{"},
	{MESSAGE("\"}\""), "3:12: this '}' has no '{'", "}}"},
	{MESSAGE("\"a [b\""), "3:11: a '[' of this message has no ']'", "[["},
	{MESSAGE("\"a ]b\""), "3:14: this ']' has no '['", "]]"},
	{MESSAGE("\"[a [b]]\""), "3:15: an optional part inside another", "]"},
	{HEAD
	 "\"cases\":[{\"scope\":\"site\",\"severity\":[{\"level\":\"info\",\"when\":[{\"field\":\"site.live\",\"op\":\">\",\"value\":1}]}],\n"
	 "\"message\":\"{poll.length}\"}]}",
	 "3:12: unknown placeholder {poll.length} in a message of scope \"site\"", "mean {"},
	/* parameters */
	{PARAM("\"x\":{\"value\":1,\"meaning\":\"m\"}"), "2:11: nothing uses the parameter \"x\"",
	 "$x"},
	{PARAM("\"x\":{\"value\":1}"), "2:15: \"meaning\" is missing", "meaning"},
	{PARAM("\"x\":1"), "2:15: \"x\" needs an object", "{"},
	{PARAM("\"X\":{\"value\":1,\"meaning\":\"m\"}"), "2:11: bad name", "a-z"},
	{PARAM("\"enabled\":{\"value\":1,\"meaning\":\"m\"}"),
	 "2:11: \"enabled\" is a key of the rule", "another"},
	{PARAM("\"x\":{\"value\":\"10\",\"meaning\":\"m\"}"), "2:24: \"10\" has no unit", "10ms"},
	{PARAM("\"x\":{\"value\":1,\"meaning\":\"m\"},\"x\":{\"value\":1,\"meaning\":\"m\"}"),
	 "2:41: the key \"x\" is here twice", "remove"},
	/* the rest */
	{WITH("\"unless\":[1]"), "2:11: this entry needs text", "quotes"},
	{WITH("\"unless\":[\"r\"]"), "2:11: a rule cannot give way to itself", "remove"},
	{WITH("\"caused_by\":[\"r\"]"), "2:14: a rule cannot be its own cause", "remove"},
	{WITH("\"exempt\":{\"syscalls\":[\"futx\"]}"), "2:23: no system call \"futx\"", "futex"},
	{WITH("\"exempt\":{\"kinds\":[\"tusk\"]}"), "2:20: unknown kind \"tusk\"", "task"},
	{WITH("\"exempt\":{\"polls\":[\"long\"]}"), "2:20: unknown sort of poll \"long\"",
	 "handed_off"},
	{WITH("\"exempt\":{\"frame\":[]}"), "2:11: unknown key \"frame\"", "frames"},
	{WITH("\"example\":{\"before\":\"x\"}"), "2:11: \"after\" is missing", "after"},
};

static void test_mistakes(void **state)
{
	int wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		const struct mistake *m = &mistakes[i];
		struct err err = {0};
		struct rule *rule;
		char want[256];
		/* An exact copy: the sanitizer sees a read behind the end. */
		size_t len = strlen(m->text);
		char *text = xmalloc(len);

		memcpy(text, m->text, len);
		snprintf(want, sizeof(want), "f.json:%s", m->says);
		if (rule_parse("f.json", text, len, &rule, &err) != -EINVAL ||
		    strncmp(err.msg, want, strlen(want)) != 0 || !strstr(err.msg, m->remedy)) {
			print_error("%s\n   says: %s\n   want: %s ... %s\n", m->text, err.msg, want,
				    m->remedy);
			wrong++;
		}
		assert_null(rule);
		free(text);
	}
	assert_int_equal(wrong, 0);
}

static void expect(const char *text, size_t len, const char *says)
{
	struct err err = {0};
	struct rule *rule;

	assert_int_equal(rule_parse("f.json", text, len, &rule, &err), -EINVAL);
	if (!strstr(err.msg, says))
		fail_msg("%s, not: %s", err.msg, says);
}

static void test_bytes(void **state)
{
	char *big = xcalloc(1, TEXT_MAX_BYTES + 1);

	(void)state;
	expect("{\"id\":\"a\0b\"}", 12, "1:9: a NUL byte");
	memset(big, ' ', TEXT_MAX_BYTES + 1);
	expect(big, TEXT_MAX_BYTES + 1, "at most 262144");
	expect(big, TEXT_MAX_BYTES, "the file is empty");
	memset(big, '[', TEXT_MAX_BYTES);
	big[0] = '{';
	expect(big, TEXT_MAX_BYTES, "a key in quotes");
	free(big);
}

static void test_limits(void **state)
{
	char text[32768] = HEAD "\"unless\":[";

	(void)state;
	for (int i = 0; i < 300; i++)
		strcat(text, "\"x\",");
	strcat(text, "\"x\"]," CASES "}");
	expect(text, strlen(text), "more than 256 entries");

	snprintf(text, sizeof(text), "%s",
		 HEAD "\"cases\":[" CASE "," CASE "," CASE "," CASE "," CASE "," CASE ",\n" CASE
		      "]}");
	expect(text, strlen(text), "3:1: more than 6 cases");

	snprintf(text, sizeof(text),
		 "{\"id\":\"r\",\"title\":\"%0200d\",\"why\":\"w\",\"advice\":\"a\"," CASES "}", 0);
	expect(text, strlen(text), "at most 100 fit");
}

static void test_columns_count_characters(void **state)
{
	const char *text = "{\"id\":\"\xc3\xa9\xe2\x82\xac\" \"x\"}";

	(void)state;
	expect(text, strlen(text), "f.json:1:12: a ',' or '}' is expected");
}

static void test_builtin(void **state)
{
	static const char *const ids[] = {"blocking-call", "cpu-bound-poll", "leaked-join-handle",
					  "starvation",	   "stuck-poll",     "task-explosion"};
	struct rule_info info;
	struct rules *rules;
	struct err err = {0};

	(void)state;
	if (rules_load_builtin(&rules, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(rules_count(rules), rules_builtin_count);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		assert_int_equal(rules_find(rules, ids[i], &info), 0);
		assert_string_equal(info.id, ids[i]);
		assert_string_equal(info.file, "built-in");
		assert_true(info.enabled && info.params_count > 0);
		assert_non_null(info.example_before);
		assert_non_null(info.example_after);
		assert_true(strlen(info.why) > 20 && strlen(info.advice) > 20);
	}
	assert_int_equal(rules_find(rules, "no-such-rule", &info), -ENOENT);
	assert_int_equal(rules_poll_threshold_ns(rules), 10 * MS);
	rules_free(rules);
	rules_free(NULL);
}

static struct rules *builtin(void)
{
	struct rules *rules;

	assert_int_equal(rules_load_builtin(&rules, NULL), 0);
	return rules;
}

static void expect_set(struct rules *rules, const char *assignment, const char *says)
{
	struct err err = {0};

	assert_int_equal(rules_set(rules, assignment, &err), -EINVAL);
	if (!strstr(err.msg, says))
		fail_msg("%s: %s", assignment, err.msg);
}

static void test_set(void **state)
{
	struct rules *rules = builtin();
	struct rule_info info;
	struct err err = {0};

	(void)state;
	assert_int_equal(rules_set(rules, "blocking-call.warning=5ms", &err), 0);
	assert_int_equal(rules_poll_threshold_ns(rules), 5 * MS);
	rules_find(rules, "blocking-call", &info);
	assert_string_equal(info.params[0].key, "warning");
	assert_string_equal(info.params[0].text, "5ms");
	assert_string_equal(info.params[0].unit, "ns");
	assert_int_equal(rules_set(rules, "leaked-join-handle.age=3s", &err), 0);
	assert_int_equal(rules_set(rules, "leaked-join-handle.count=50", &err), 0);
	assert_int_equal(rules_set(rules, "blocking-call.share=2.5%", &err), 0);
	assert_int_equal(rules_set(rules, "starvation.enabled=false", &err), 0);
	rules_find(rules, "starvation", &info);
	assert_false(info.enabled);

	expect_set(rules, "blocking-call.warning=10", "a duration, such as \"10ms\", not \"10\"");
	expect_set(rules, "blocking-call.warning=", "a duration");
	expect_set(rules, "blocking-call.share=10ms", "a share, such as \"5%\"");
	expect_set(rules, "leaked-join-handle.count=many", "a number");
	expect_set(rules, "leaked-join-handle.count=1.2.3", "a number");
	expect_set(rules, "blocking-call.wurning=1ms",
		   "its keys are warning, critical, share, window, quiet, enabled");
	expect_set(rules, "blocking.warning=1ms", "did you mean blocking-call?");
	expect_set(rules, "blocking-call.enabled=1", "true or false");
	expect_set(rules, "nonsense", "RULE.KEY=VALUE");
	expect_set(rules, "a=b.c", "RULE.KEY=VALUE");
	expect_set(rules, "", "RULE.KEY=VALUE");
	rules_free(rules);
}

static void test_threshold(void **state)
{
	struct rules *rules = builtin();
	struct rule_info info;
	struct err err = {0};

	(void)state;
	assert_int_equal(rules_set_threshold(rules, 2 * MS, &err), 0);
	assert_int_equal(rules_poll_threshold_ns(rules), 2 * MS);
	rules_find(rules, "cpu-bound-poll", &info);
	assert_string_equal(info.params[1].key, "critical");
	assert_string_equal(info.params[1].text, "20000000ns");
	assert_int_equal(rules_set_threshold(rules, 250000, &err), 0);
	assert_int_equal(rules_poll_threshold_ns(rules), 250000);
	assert_int_equal(rules_set_threshold(rules, 0, &err), -EINVAL);
	rules_free(rules);
}

static char folder[] = "/tmp/stalltop-rules-XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void remove_file(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
}

static void expect_load(struct rules *rules, const char *name, const char *says)
{
	struct err err = {0};
	char path[128];

	snprintf(path, sizeof(path), "%s%s%s", folder, *name ? "/" : "", name);
	assert_int_not_equal(rules_load_path(rules, path, &err), 0);
	if (!strstr(err.msg, says))
		fail_msg("%s: %s", path, err.msg);
}

static void test_paths(void **state)
{
	struct rules *rules = builtin();
	size_t before = rules_count(rules);
	struct rule_info info;
	struct err err = {0};

	(void)state;
	assert_non_null(mkdtemp(folder));
	expect_load(rules, "", "no *.json in this folder");
	expect_load(rules, "absent.json", "No such file");
	write_file("a.json", HEAD CASES "}");
	write_file("ignored.txt", "not a rule");
	if (rules_load_path(rules, folder, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(rules_count(rules), before + 1);
	assert_int_equal(rules_find(rules, "r", &info), 0);
	assert_non_null(strstr(info.file, "/a.json"));
	/* The same file again replaces; a second file with the same id is a mistake. */
	assert_int_equal(rules_load_path(rules, folder, &err), 0);
	assert_int_equal(rules_count(rules), before + 1);
	write_file("b.json", HEAD CASES "}");
	expect_load(rules, "", "b.json:1:7: the id \"r\" is already that of");
	/* A built-in rule may be replaced. */
	write_file("b.json",
		   "{\"id\":\"stuck-poll\",\"title\":\"mine\",\"why\":\"w\",\"advice\":\"a\"," CASES
		   "}");
	assert_int_equal(rules_load_path(rules, folder, &err), 0);
	rules_find(rules, "stuck-poll", &info);
	assert_string_equal(info.title, "mine");
	/* Its threshold is the user's: below the floor of the built-in set, too. */
	assert_int_equal(rules_poll_threshold_ns(rules), 1 * MS);
	write_file("b.json", HEAD "\"unless\":[\n\"no-such\"]," CASES "}");
	expect_load(rules, "b.json", "b.json:3:1: no rule \"no-such\"");
	/* Two rules that give way to each other: which one is judged first? */
	write_file("a.json", "{\"id\":\"s\",\"title\":\"t\",\"why\":\"w\",\"advice\":\"a\","
			     "\"unless\":[\"r\"]," CASES "}");
	write_file("b.json", HEAD "\"unless\":[\n\"s\"]," CASES "}");
	expect_load(rules, "", "give way to each other");
	write_file("a.json", "{\"id\":\"s\",\"title\":\"t\",\"why\":\"w\",\"advice\":\"a\","
			     "\"caused_by\":[\"r\"]," CASES "}");
	write_file("b.json", HEAD "\"caused_by\":[\n\"s\"]," CASES "}");
	expect_load(rules, "", "circle in the causes");
	write_file("b.json", HEAD "\"caused_by\":[\n\"no-such\"]," CASES "}");
	expect_load(rules, "b.json", "b.json:3:1: no rule \"no-such\"");
	remove_file("a.json");
	remove_file("b.json");
	remove_file("ignored.txt");
	expect_load(rules, "..", "");
	rmdir(folder);
	rules_free(rules);
}

static void test_special_files(void **state)
{
	struct rules *rules = builtin();
	struct err err = {0};

	(void)state;
	assert_int_equal(rules_load_path(rules, "/dev/zero", &err), -EINVAL);
	assert_non_null(strstr(err.msg, "/dev/zero:1:1: not a file"));
	rules_free(rules);
}

/* The example in the documentation is a rule that loads. */
static void test_documented_example(void **state)
{
	static char doc[256 * 1024];
	FILE *f = fopen("docs/rules.md", "r");
	struct err err = {0};
	struct rule *rule;
	char *begin, *end;

	(void)state;
	assert_non_null(f);
	doc[fread(doc, 1, sizeof(doc) - 1, f)] = '\0';
	fclose(f);
	begin = strstr(doc, "```json\n");
	assert_non_null(begin);
	begin += strlen("```json\n");
	end = strstr(begin, "```");
	assert_non_null(end);
	if (rule_parse("docs/rules.md", begin, (size_t)(end - begin), &rule, &err))
		fail_msg("%s", err.msg);
	assert_string_equal(rule->id, "slow-query");
	rule_free(rule);
}

/* The table itself: names are unique, of their scope, and say what they mean. */
static void test_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < fields_count; i++) {
		const char *scope = scope_name(fields[i].scope);

		assert_ptr_equal(field_find(fields[i].name), &fields[i]);
		assert_int_equal(strncmp(fields[i].name, scope, strlen(scope)), 0);
		assert_int_equal(fields[i].name[strlen(scope)], '.');
		assert_non_null(fields[i].get);
		assert_true(strlen(fields[i].meaning) > 10);
	}
}

static void test_syscalls(void **state)
{
	(void)state;
	assert_string_equal(syscall_name(0), "read");
	assert_string_equal(syscall_name(202), "futex");
	assert_string_equal(syscall_name(230), "clock_nanosleep");
	assert_string_equal(syscall_name(450), "set_mempolicy_home_node");
	assert_null(syscall_name(-1));
	assert_null(syscall_name(400));
	assert_null(syscall_name(1 << 30));
	assert_int_equal(syscall_number("epoll_wait"), 232);
	assert_int_equal(syscall_number("nothing"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_columns_count_characters),
		cmocka_unit_test(test_builtin),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_threshold),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_special_files),
		cmocka_unit_test(test_documented_example),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_syscalls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
