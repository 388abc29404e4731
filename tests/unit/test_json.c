// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The JSON sink: lines as they are read, exact integers, null for what is not known, hostile names,
 * a closed pipe. Every line is checked against docs/stalltop.schema.json, and every field must be
 * in docs/json-schema.md. Tests run in the root of the repository.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sink/sinks.h"
#include "sink_fixture.h"

#define MS UINT64_C(1000000)

static char *schema_doc;
static cJSON *definitions;

static struct sink *json_new(struct fixture *f)
{
	struct json_sink_opts opts = {.version = "0.1.0",
				      .outcome = {.fail_on = SEVERITY_CRITICAL}};

	return json_sink_new(f->out, &opts);
}

static char *read_file(const char *path)
{
	FILE *in = fopen(path, "r");
	char *text = calloc(1, 1 << 20);

	if (!in)
		fail_msg("cannot open %s; tests run in the root of the repository", path);
	assert_true(fread(text, 1, (1 << 20) - 1, in) > 0);
	fclose(in);
	return text;
}

static bool type_is(const cJSON *value, const char *type)
{
	if (!strcmp(type, "string"))
		return cJSON_IsString(value);
	if (!strcmp(type, "null"))
		return cJSON_IsNull(value);
	if (!strcmp(type, "boolean"))
		return cJSON_IsBool(value);
	if (!strcmp(type, "object"))
		return cJSON_IsObject(value);
	if (!strcmp(type, "array"))
		return cJSON_IsArray(value);
	return cJSON_IsNumber(value);
}

static bool type_allowed(const cJSON *value, const cJSON *types)
{
	const cJSON *type;

	if (cJSON_IsString(types))
		return type_is(value, types->valuestring);
	cJSON_ArrayForEach(type, types)
		if (type_is(value, type->valuestring))
			return true;
	return false;
}

static bool in_enum(const cJSON *value, const cJSON *allowed)
{
	const cJSON *one;

	cJSON_ArrayForEach(one, allowed)
		if (cJSON_Compare(one, value, true))
			return true;
	return !allowed;
}

static void check_object(const cJSON *object, const char *name);

static void check_field(const cJSON *value, const cJSON *spec, const char *object)
{
	const cJSON *constant = cJSON_GetObjectItem(spec, "const");
	const cJSON *types = cJSON_GetObjectItem(spec, "type");
	const cJSON *ref = cJSON_GetObjectItem(cJSON_GetObjectItem(spec, "items"), "$ref");
	char quoted[64];

	snprintf(quoted, sizeof(quoted), "`%s`", value->string);
	if (!strstr(schema_doc, quoted))
		fail_msg("docs/json-schema.md does not describe %s", quoted);
	if (constant)
		assert_true(cJSON_Compare(constant, value, true));
	if (types && !type_allowed(value, types))
		fail_msg("%s.%s has the wrong type", object, value->string);
	if (!in_enum(value, cJSON_GetObjectItem(spec, "enum")))
		fail_msg("%s.%s has a value that is not in the schema", object, value->string);
	if (ref) {
		const cJSON *item;

		cJSON_ArrayForEach(item, value)
			check_object(item, strrchr(ref->valuestring, '/') + 1);
	}
}

/* Exactly the fields of the definition, each of its type. */
static void check_object(const cJSON *object, const char *name)
{
	const cJSON *def = cJSON_GetObjectItem(definitions, name);
	const cJSON *properties = cJSON_GetObjectItem(def, "properties");
	const cJSON *item;

	if (!properties)
		fail_msg("no definition of \"%s\" in the schema", name);
	cJSON_ArrayForEach(item, object) {
		const cJSON *spec = cJSON_GetObjectItem(properties, item->string);

		if (!spec)
			fail_msg("%s.%s is not in the schema", name, item->string);
		check_field(item, spec, name);
	}
	cJSON_ArrayForEach(item, cJSON_GetObjectItem(def, "required"))
		if (!cJSON_GetObjectItem(object, item->valuestring))
			fail_msg("%s.%s is missing", name, item->valuestring);
}

/* All lines are valid; their types, as words. */
static void check_lines(struct fixture *f, const char *want_types)
{
	char *copy = strdup(fixture_text(f));
	char types[1024] = "";
	char *save = NULL;

	assert_true(strlen(copy) == 0 || copy[strlen(copy) - 1] == '\n');
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		cJSON *object = cJSON_Parse(line);
		const cJSON *type = cJSON_GetObjectItem(object, "type");

		if (!cJSON_IsString(type))
			fail_msg("not an object with a type: %s", line);
		check_object(object, type->valuestring);
		assert_true(strlen(types) + strlen(type->valuestring) + 2 < sizeof(types));
		strcat(types, *types ? " " : "");
		strcat(types, type->valuestring);
		cJSON_Delete(object);
	}
	free(copy);
	assert_string_equal(types, want_types);
}

static void test_header_and_footer(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "check", "shop");
	s = json_new(&f);
	assert_int_equal(s->ops->open(s, &f.snap), 0);
	assert_string_equal(
		fixture_text(&f),
		"{\"type\":\"header\",\"schema\":\"1.0\",\"version\":\"0.1.0\",\"command\":\"check\","
		"\"host\":\"box\",\"clock\":\"monotonic\",\"wall_offset_ns\":null,"
		"\"begin_ns\":5000000000,\"targets\":[{\"pid\":4242,"
		"\"start_time\":9007199254740995,\"comm\":\"shop\",\"exe\":\"/srv/shop\","
		"\"build_id\":\"c0ffee\",\"cpus\":2,\"runtimes\":[{\"name\":\"tokio\","
		"\"version\":\"1.54.1\",\"binary\":\"/srv/shop\",\"build_id\":null,\"workers\":2,"
		"\"task_types\":3}]}]}\n");
	fixture_run(&f, 3);
	assert_int_equal(s->ops->snapshot(s, &f.snap), 0);
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(
		&f,
		"{\"type\":\"footer\",\"duration_ns\":3000000000,\"polls\":3000,"
		"\"tasks_seen\":7,\"hits\":null,\"emitted\":null,\"filtered\":null,"
		"\"lost\":null,\"events_lost\":0,\"overhead_pct\":null,"
		"\"agent_cpu_pct\":null,\"level\":null,\"exact\":null,\"sites_on\":null,"
		"\"sites_off\":null,\"budget_pct\":null,\"level_asked\":null,"
		"\"lowerings\":null,\"lowered_ns\":null,"
		"\"sites_sampled\":null,\"windows\":null,\"findings\":{\"info\":0,\"warning\":0,\"critical\":0},"
		"\"findings_effects\":0,\"findings_evicted\":0,\"spawn_hits\":null,\"stacks_lost\":0,"
		"\"stacks_limited\":0,\"stacks_dropped\":0,\"rules\":null}\n");
	check_lines(&f, "header footer");
	s->ops->close(s);
	fixture_close(&f);
}

static void test_cost(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "check", "shop");
	s = json_new(&f);
	fixture_run(&f, 1);
	fixture_apply(&f, (struct event){.kind = EV_COST,
					 .as_cost = {.hits = FIXTURE_BIG,
						     .emitted = 5,
						     .filtered = FIXTURE_BIG - 8,
						     .lost = 3,
						     .cost_ns = 10 * MS,
						     .target_cpu_ns = 1000 * MS,
						     .agent_cpu_ns = 5 * MS,
						     .sites_on = 2,
						     .sites_off = 1,
						     .level = 2,
						     .level_asked = 3,
						     .lowerings = 2,
						     .lowered_ns = 4000,
						     .budget_ppm = 20000,
						     .sites_sampled = 1,
						     .windows = 7}});
	fixture_apply(&f, (struct event){.kind = EV_LOST, .as_lost = {"ring", 3}});
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(
		&f,
		"\"hits\":9007199254740995,\"emitted\":5,\"filtered\":9007199254740987,"
		"\"lost\":3,\"events_lost\":3,\"overhead_pct\":1,\"agent_cpu_pct\":0.5,"
		"\"level\":2,\"exact\":false,\"sites_on\":2,\"sites_off\":1,\"budget_pct\":2,"
		"\"level_asked\":3,\"lowerings\":2,\"lowered_ns\":4000,\"sites_sampled\":1,\"windows\":7,");
	fixture_has(&f, "{\"type\":\"lost\",\"time_ns\":6000000000,\"count\":3,\"total\":3}\n");
	check_lines(&f, "header lost footer");
	s->ops->close(s);
	fixture_close(&f);
}

static void test_finding(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "check", "shop");
	s = json_new(&f);
	fixture_run(&f, 1);
	fixture_block(&f, FIXTURE_CART, 7, 20);
	fixture_block(&f, FIXTURE_CHECKOUT, FIXTURE_BIG, 250);
	fixture_run(&f, 1);
	assert_int_equal(s->ops->snapshot(s, &f.snap), 0);
	fixture_has_not(&f, "\"finding\"");
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(
		&f,
		"{\"type\":\"finding\",\"rule\":\"blocking-call\",\"title\":\"A poll blocks\","
		"\"severity\":\"critical\",\"pid\":4242,\"runtime\":\"tokio\",\"runtime_id\":0,"
		"\"site\":\"shop::checkout (async fn)\",\"site_id\":0,\"tid\":4243,"
		"\"worker\":\"tokio-worker\",\"tasks\":[9007199254740995],\"count\":1,"
		"\"first_ns\":5750000000,\"last_ns\":6000000000,\"worst_ns\":250000000,"
		"\"total_ns\":250000000,\"open\":false,\"open_since_ns\":null,"
		"\"evidence\":\"traced\",\"during_loss\":false,\"lower_bound\":false,"
		"\"syscall\":\"clock_nanosleep\",\"syscall_detail\":null,\"stack\":null,"
		"\"stack_end\":null,\"kernel_stack\":null,\"kernel_function\":null,"
		"\"page_fault\":null,\"culprit\":null,\"call\":null,\"stack_share\":null,"
		"\"stacks\":0,\"victims\":[],\"effects\":0,\"alarm\":\"critical\",\"cause\":null,\"spawn\":null,"
		"\"spawn_unknown_because\":\"no spawn of it was seen\","
		"\"message\":\"shop::checkout (async fn) blocks its worker\",\"advice\":\"Move");
	fixture_has(&f, "\"link\":null,\"values\":{\"poll.blocked_ns\":250000000}}\n");
	/* Worst first. */
	assert_true(strstr(f.text, "shop::checkout") < strstr(f.text, "shop::cart"));
	check_lines(&f, "header finding finding footer");
	s->ops->close(s);
	fixture_close(&f);
}

static void test_finding_stack(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "check", "shop");
	s = json_new(&f);
	fixture_run(&f, 1);
	fixture_block(&f, FIXTURE_CHECKOUT, 7, 250);
	fixture_stack(&f, FIXTURE_CHECKOUT, 250);
	fixture_spawn(&f, FIXTURE_CHECKOUT);
	fixture_run(&f, 1);
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(
		&f,
		"\"syscall_detail\":\"fd 7: pipe\\\\x1b\",\"stack\":["
		"{\"function\":null,\"file\":null,\"line\":null,\"column\":null,"
		"\"binary\":\"/lib/libc.so.6\",\"offset\":9007199254740995,\"inlined\":false,"
		"\"origin\":\"system\",\"from\":\"none\"},"
		"{\"function\":\"std::thread::sleep\",\"file\":null,\"line\":null,\"column\":null,"
		"\"binary\":\"/srv/shop\",\"offset\":4096,\"inlined\":false,"
		"\"origin\":\"std\",\"from\":\"symbol\"},"
		"{\"function\":\"shop::load_user\",\"file\":\"/home/u/shop/src/db.rs\","
		"\"line\":42,\"column\":9,\"binary\":\"/srv/shop\",\"offset\":8192,"
		"\"inlined\":true,\"origin\":\"user\",\"from\":\"line\"},");
	fixture_has(
		&f,
		"\"stack_end\":\"unsure\",\"kernel_stack\":[\"futex_do_wait\","
		"\"futex_wait\"],\"kernel_function\":\"futex_wait\","
		"\"page_fault\":false,\"culprit\":{\"function\":\"shop::load_user\","
		"\"file\":\"/home/u/shop/src/db.rs\",\"line\":42,\"column\":9,"
		"\"binary\":\"/srv/shop\",\"offset\":8192},\"call\":\"std::thread::sleep\","
		"\"stack_share\":1,\"stacks\":1,\"victims\":[],\"effects\":0,\"alarm\":\"critical\",\"cause\":null,\"spawn\":{"
		"\"function\":\"shop::load_user\","
		"\"file\":\"/home/u/shop/src/db.rs\",\"line\":42,\"column\":9,"
		"\"binary\":\"/srv/shop\",\"offset\":8192,\"in_poll_of\":null,\"share\":1,\"spawns\":1,"
		"\"stack\":[{\"function\":null,");
	fixture_has(&f, "\"stack_end\":\"unsure\"},\"spawn_unknown_because\":null,\"message\":");
	fixture_has(&f, "\"advice\":\"In place of std::thread::sleep: sleep().await. Move the ");
	check_lines(&f, "header finding footer");
	s->ops->close(s);
	fixture_close(&f);
}

/* At once when it comes; then at most once a second; the last line is the final state. */
static void test_changes(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "top", "shop");
	s = json_new(&f);
	fixture_run(&f, 1);
	for (int i = 0; i < 25; i++) {
		f.now += 100 * MS;
		fixture_block(&f, FIXTURE_CHECKOUT, 1, 20);
		fixture_tick(&f);
		assert_int_equal(s->ops->snapshot(s, &f.snap), 0);
	}
	fixture_has(&f, "\"count\":1,");
	fixture_has(&f, "\"count\":11,");
	fixture_has(&f, "\"count\":21,");
	fixture_has_not(&f, "\"count\":2,");
	fixture_has_not(&f, "\"count\":25,");
	check_lines(&f, "header finding finding finding");
	/* Worse: not kept back. */
	fixture_block(&f, FIXTURE_CHECKOUT, 1, 120);
	fixture_tick(&f);
	assert_int_equal(s->ops->snapshot(s, &f.snap), 0);
	fixture_has(&f, "\"severity\":\"critical\"");
	f.now += 150 * MS;
	fixture_block(&f, FIXTURE_CHECKOUT, 1, 120);
	fixture_tick(&f);
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(&f, "\"count\":27,");
	check_lines(&f, "header finding finding finding finding finding footer");
	s->ops->close(s);
	fixture_close(&f);
}

static void dump_tasks(struct fixture *f)
{
	struct ev_task row = {.key = 1,
			      .id = UINT64_C(9223372036854775807),
			      .site = FIXTURE_CHECKOUT,
			      .runtime = 0,
			      .first_ns = FIXTURE_BEGIN,
			      .last_ns = f->now - 900 * MS,
			      .polls = 3,
			      .busy_ns = 2 * MS,
			      .last_tid = 4244,
			      .state_valid = true,
			      .has_handle = true,
			      .refs = 2,
			      .wakes_valid = true,
			      .wakes = 9,
			      .waits_for = 4096,
			      .waits_permits = 1};

	fixture_apply(f, (struct event){.kind = EV_TASK, .as_task = row});
	row = (struct ev_task){.key = 2,
			       .id = 8,
			       .site = FIXTURE_HOSTILE,
			       .runtime = ID_NONE,
			       .holds = 4096,
			       .holds_known = true};
	fixture_apply(f, (struct event){.kind = EV_TASK, .as_task = row});
	fixture_apply(f, (struct event){.kind = EV_TASK_SCAN, .as_task_scan = {2, false}});
}

static void test_dump(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "dump", "shop");
	s = json_new(&f);
	fixture_run(&f, 1);
	dump_tasks(&f);
	fixture_apply(&f, (struct event){.kind = EV_QUEUES,
					 .as_queues = {.runtime = 0,
						       .inject = 0,
						       .local = -1,
						       .alive = 2,
						       .blocking_queue = -1,
						       .blocking_threads = -1,
						       .blocking_idle = -1,
						       .reason = "no table"}});
	fixture_tick(&f);
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(&f, "\"inject_queue\":0,\"local_queues\":null,\"tasks_alive\":2,"
			"\"blocking_queue\":null,\"blocking_threads\":null,\"blocking_idle\":null,"
			"\"unknown_because\":\"no table\"}\n");
	fixture_has(&f, "{\"type\":\"worker\",\"pid\":4242,\"tid\":4244,\"name\":\"tokio-worker\","
			"\"runtime\":\"tokio\",\"runtime_id\":0,\"state\":\"parked\","
			"\"since_ns\":5750000000,\"site\":null,\"site_id\":null,\"task\":null,"
			"\"poll_start_ns\":null,\"poll_ns\":null,\"syscall\":null,");
	fixture_has(&f, "\"lower_bound\":false,\"stack_kind\":null,\"syscall_detail\":null,"
			"\"stack\":null,\"stack_end\":null,\"kernel_stack\":null,"
			"\"kernel_function\":null,\"page_fault\":null,\"culprit\":null,"
			"\"call\":null,\"lock\":null}\n");
	fixture_has(&f, "\"id\":9223372036854775807,\"runtime\":\"tokio\",\"runtime_id\":0,"
			"\"site\":\"shop::checkout (async fn)\",\"site_id\":0,\"state\":\"idle\","
			"\"for_ns\":900000000,\"tid\":4244,\"first_ns\":5000000000,"
			"\"last_ns\":5100000000,\"polls\":3,\"in_polls_ns\":2000000,"
			"\"cancelled\":false,\"has_handle\":true,\"refs\":2,\"wakes\":9,"
			"\"waits_for\":4096,\"waits_for_permits\":1,\"waits_for_task\":8,"
			"\"waits_for_site\":\"bad\\\\x1b[2J\\\\xff name\\\\x0a\",\"holds\":null,"
			"\"spawn\":null,\"spawn_unknown_because\":\"no spawn of it was seen\"}\n");
	fixture_has(&f, "\"id\":8,\"runtime\":null,\"runtime_id\":null,"
			"\"site\":\"bad\\\\x1b[2J\\\\xff name\\\\x0a\",\"site_id\":2,"
			"\"state\":null,\"for_ns\":null,\"tid\":null,\"first_ns\":null,"
			"\"last_ns\":null,\"polls\":0,\"in_polls_ns\":0,\"cancelled\":null,"
			"\"has_handle\":null,\"refs\":null,\"wakes\":null,"
			"\"waits_for\":null,\"waits_for_permits\":null,"
			"\"waits_for_task\":null,\"waits_for_site\":null,\"holds\":[4096],"
			"\"spawn\":null,\"spawn_unknown_because\":\"no spawn of it was seen\"}\n");
	check_lines(&f, "header runtime worker worker site task task footer");
	s->ops->close(s);
	fixture_close(&f);
}

static void test_hostile_names(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "top", "\"\\\033[31m\xc2\x9b\xe2\x80\xae\xff\n");
	s = json_new(&f);
	fixture_run(&f, 1);
	fixture_block(&f, FIXTURE_HOSTILE, 1, 250);
	fixture_apply(&f, (struct event){.kind = EV_NOTE, .as_note = {NOTE_WARNING, "a\033\xff"}});
	fixture_run(&f, 1);
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(&f, "\"comm\":\"\\\"\\\\\\\\x1b[31m");
	fixture_has(&f, "\"text\":\"a\\\\x1b\\\\xff\"");
	for (const char *p = fixture_text(&f); *p; p++)
		assert_true(*p == '\n' || (*p >= ' ' && *p < 127));
	check_lines(&f, "header note finding footer");
	s->ops->close(s);
	fixture_close(&f);
}

/* A runtime that is loaded later, the end of the process. */
static void test_targets_change(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "top", "shop");
	s = json_new(&f);
	assert_int_equal(s->ops->open(s, &f.snap), 0);
	fixture_run(&f, 1);
	assert_int_equal(s->ops->snapshot(s, &f.snap), 0);
	check_lines(&f, "header");
	fixture_apply(&f, (struct event){.kind = EV_BINARY,
					 .as_binary = {.binary = 1,
						       .path = "/lib/plugin.so",
						       .runtime = "tokio",
						       .task_types = 1}});
	fixture_run(&f, 1);
	assert_int_equal(s->ops->snapshot(s, &f.snap), 0);
	fixture_has(&f, "{\"name\":\"tokio\",\"version\":null,\"binary\":\"/lib/plugin.so\","
			"\"build_id\":null,\"workers\":null,\"task_types\":1}]}\n");
	fixture_apply(&f,
		      (struct event){.kind = EV_TARGET_END, .as_target_end = {TARGET_EXITED, 9}});
	assert_int_equal(s->ops->snapshot(s, &f.snap), 0);
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(&f, "{\"type\":\"target_end\",\"pid\":4242,\"time_ns\":7000000000,"
			"\"reason\":\"exited\",\"exit_code\":null,\"signal\":9}\n");
	check_lines(&f, "header target target_end footer");
	s->ops->close(s);
	fixture_close(&f);
}

static void test_closed_pipe(void **state)
{
	struct json_sink_opts opts = {.version = "0.1.0"};
	struct fixture f;
	struct sink *s;
	FILE *out;
	int fds[2];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	out = fdopen(fds[1], "w");
	fixture_open(&f, "top", "shop");
	s = json_sink_new(out, &opts);
	assert_int_equal(s->ops->open(s, &f.snap), -EPIPE);
	fixture_run(&f, 1);
	fixture_block(&f, FIXTURE_CHECKOUT, 1, 250);
	fixture_run(&f, 1);
	assert_int_equal(s->ops->snapshot(s, &f.snap), -EPIPE);
	assert_int_equal(s->ops->finish(s, &f.snap), -EPIPE);
	s->ops->close(s);
	fclose(out);
	fixture_close(&f);
}

/* A device that is full is an error that can be told. */
static void test_full_device(void **state)
{
	struct json_sink_opts opts = {.version = "0.1.0"};
	FILE *out = fopen("/dev/full", "w");
	struct fixture f;
	struct sink *s;

	(void)state;
	if (!out)
		skip();
	fixture_open(&f, "top", "shop");
	s = json_sink_new(out, &opts);
	assert_int_equal(s->ops->open(s, &f.snap), -ENOSPC);
	s->ops->close(s);
	fclose(out);
	fixture_close(&f);
}

static void test_overhead(void **state)
{
	struct fixture f;
	struct sink *s;

	(void)state;
	fixture_open(&f, "check", "shop");
	s = json_new(&f);
	fixture_overhead(&f);
	assert_int_equal(s->ops->finish(s, &f.snap), 0);
	fixture_has(&f, "{\"type\":\"overhead_check\",\"pid\":4242,\"rounds\":12,"
			"\"with_probes_ns\":4800000000,\"without_probes_ns\":4800000000,"
			"\"polls\":6000000,\"cpu_per_poll_ns\":790,\"measures\":[");
	fixture_has(&f, "{\"measure\":\"cpu_time\",\"unit\":\"cores\",\"without_probes\":0.982,"
			"\"with_probes\":0.9875,\"ratio\":1.005601,\"ratio_low\":0.98,"
			"\"ratio_high\":1.031,\"distinguishable\":false,"
			"\"unknown_because\":null}");
	fixture_has(&f, "{\"measure\":\"switches\",\"unit\":\"per second\","
			"\"without_probes\":null,\"with_probes\":null,\"ratio\":null,"
			"\"ratio_low\":null,\"ratio_high\":null,\"distinguishable\":null,"
			"\"unknown_because\":\"threads ended meanwhile");
	fixture_has(&f, "\"distinguishable\":true");
	check_lines(&f, "header overhead_check footer");
	s->ops->close(s);
	fixture_close(&f);
}

static int load_schema(void **state)
{
	char *text = read_file("docs/stalltop.schema.json");
	cJSON *schema = cJSON_Parse(text);

	(void)state;
	free(text);
	if (!schema)
		return -1;
	definitions = cJSON_DetachItemFromObject(schema, "definitions");
	cJSON_Delete(schema);
	schema_doc = read_file("docs/json-schema.md");
	return definitions ? 0 : -1;
}

static int drop_schema(void **state)
{
	(void)state;
	cJSON_Delete(definitions);
	free(schema_doc);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_and_footer), cmocka_unit_test(test_cost),
		cmocka_unit_test(test_finding),		  cmocka_unit_test(test_finding_stack),
		cmocka_unit_test(test_changes),		  cmocka_unit_test(test_dump),
		cmocka_unit_test(test_hostile_names),	  cmocka_unit_test(test_targets_change),
		cmocka_unit_test(test_closed_pipe),	  cmocka_unit_test(test_full_device),
		cmocka_unit_test(test_overhead),
	};

	return cmocka_run_group_tests_name("json", tests, load_schema, drop_schema);
}
