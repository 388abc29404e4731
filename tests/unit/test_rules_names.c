// SPDX-License-Identifier: LGPL-2.1-or-later
/* How findings shorten the paths of sources and the names of functions. */
#include "rules_world.h"

#include "rules/stack.h"

#define REGISTRY "/home/u/.cargo/registry/src/index.crates.io-6f17d22bba15001f/"

static void test_paths(void **state)
{
	static const struct {
		const char *path, *want;
	} rows[] = {
		{"/home/u/proj/src/db.rs", "src/db.rs"},
		{"/home/u/src/proj/src/bin/tool.rs", "src/bin/tool.rs"},
		{"/home/u/proj/examples/demo.rs", "examples/demo.rs"},
		{"/home/u/proj/examples/demo/src/main.rs", "src/main.rs"},
		{"/home/u/proj/benches/all.rs", "benches/all.rs"},
		{REGISTRY "rusqlite-0.31.0/src/lib.rs", "rusqlite-0.31.0/src/lib.rs"},
		{"/x/.cargo/git/checkouts/db-77aa/1f2e/src/a.rs", "db-77aa/1f2e/src/a.rs"},
		{"/rustc/90b35a6239c3d8/library/std/src/fs.rs", "library/std/src/fs.rs"},
		{"/x/lib/rustlib/src/rust/library/core/src/a.rs", "library/core/src/a.rs"},
		{"src/db.rs", "src/db.rs"},
		{"/opt/generated/out/x.rs", "out/x.rs"},
		{"/x.rs", "x.rs"},
		{"/", "/"},
		{"", ""},
		{"/rustc/", "rustc/"},
		{"/a/registry/src/", "src/"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(path_short(rows[i].path), rows[i].want);
}

static void test_function_paths(void **state)
{
	static const struct {
		const char *name, *want;
	} rows[] = {
		{"std::thread::sleep", "std::thread::sleep"},
		{"<std::fs::File as std::io::Read>::read", "std::fs::File::read"},
		{"<&std::fs::File as std::io::Read>::read", "std::fs::File::read"},
		{"<&mut std::fs::File as std::io::Read>::read", "std::fs::File::read"},
		{"<std::sync::poison::mutex::Mutex<alloc::vec::Vec<u8>>>::lock",
		 "std::sync::poison::mutex::Mutex::lock"},
		{"std::sync::mutex::Mutex<T>::lock", "std::sync::mutex::Mutex::lock"},
		{"std::fs::read_to_string::<&str>", "std::fs::read_to_string"},
		{"std::io::copy::<fn(u8) -> u8, ()>::inner", "std::io::copy::inner"},
		{"<<a::B as c::D>::E as f::G>::h", "a::B::h"},
		{"shop::<impl>::run", "shop::run"},
		{"a<b", "a"},
		{"", ""},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		function_path(rows[i].name, out, sizeof(out));
		assert_string_equal(out, rows[i].want);
	}
	function_path("std::thread::sleep", out, 5);
	assert_string_equal(out, "std:");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_function_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
