// SPDX-License-Identifier: LGPL-2.1-or-later
// The page of `stalltop report --html`. The data are the objects of `report --json`; integers of
// more than 15 digits are strings, so that they are shown as they are. Everything from the target
// goes into the document as text, never as markup.
"use strict";
(() => {
	const objects = JSON.parse(document.getElementById("data").textContent);
	const all = type => objects.filter(o => o.type === type);
	const one = type => objects.find(o => o.type === type);
	const header = one("header"), trace = one("trace"), timeline = one("timeline"), footer = one("footer");
	const begin = Number(timeline.begin_ns), slice = Number(timeline.slice_ns);
	const $ = id => document.getElementById(id);

	// --- making elements ---

	function fill(node, attributes, children) {
		for (const [key, value] of Object.entries(attributes || {})) {
			if (key === "on") for (const [name, fn] of Object.entries(value)) node.addEventListener(name, fn);
			else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
		}
		for (const child of children.flat()) if (child !== null && child !== undefined && child !== "") node.append(child);
		return node;
	}
	const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
	const svg = (tag, attributes, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

	// --- numbers as people read them; null is not known ---

	const digits3 = x => x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2);
	function duration(ns) {
		if (ns === null || ns === undefined) return "n/a";
		let x = Number(ns);
		if (x < 1000) return Math.round(x) + " ns";
		for (const unit of ["µs", "ms"]) {
			x /= 1000;
			if (x < 999.5) return digits3(x) + " " + unit;
		}
		x /= 1000;
		return x < 120 ? digits3(x) + " s" : Math.floor(x / 60) + " min " + Math.floor(x % 60) + " s";
	}
	function count(n) {
		if (n === null || n === undefined) return "n/a";
		const x = Number(n);
		for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]])
			if (x >= size) return digits3(x / (unit === "k" ? 1e3 : size)) + unit;
		return String(Math.round(x * 100) / 100);
	}
	function bytes(n) {
		let x = Number(n);
		if (x < 1024) return x + " B";
		for (const unit of ["KiB", "MiB", "GiB"]) {
			x /= 1024;
			if (x < 1024 || unit === "GiB") return (x < 10 ? x.toFixed(1) : x.toFixed(0)) + " " + unit;
		}
	}
	const percent = x => x === null || x === undefined ? "n/a" : x > 0 && x < 0.001 ? "<0.1 %" : (100 * x).toFixed(1) + " %";
	const known = x => x === null || x === undefined ? "n/a" : String(x);
	const after = ns => duration(Math.max(0, Number(ns) - begin));
	function clock(ns) {
		if (header.wall_offset_ns === null) return "";
		const date = new Date((Number(ns) + Number(header.wall_offset_ns)) / 1e6);
		return isNaN(date) ? "" : date.toISOString().replace("T", " ").replace(/\..*/, " UTC");
	}

	// --- head and verdict ---

	function drawHead() {
		const names = header.targets.map(t => t.comm + " (pid " + t.pid + ")");
		document.title = "stalltop: " + (names.join(", ") || "report");
		$("head").append(
			el("h1", {}, names.join(", ") || "no process"),
			...header.targets.map(t => el("p", { class: "mono" }, t.exe,
				...t.runtimes.map(r => ": " + r.name + " " + (r.version || "(version n/a)") +
					(r.workers === null ? "" : ", " + r.workers + " workers") +
					(r.task_types === null ? "" : ", " + r.task_types + " task types")))),
			el("p", { class: "dim" }, [clock(begin), duration(footer.duration_ns), "host " + known(header.host),
				"trace " + trace.file, "stalltop " + header.version].filter(Boolean).join(" · ")));
	}

	const tile = (value, label) => el("div", { class: "tile" }, el("b", {}, value), el("span", {}, label));

	function drawVerdict() {
		const v = one("verdict"), polls = all("latency").find(l => l.of === "polls"), delays = all("latency").find(l => l.of === "delays");
		const sum = list => list.reduce((a, b) => a + b, 0);
		const blocked = sum(timeline.blocked_ns);
		const time = blocked + sum(timeline.busy_ns) + sum(timeline.preempted_ns) + sum(timeline.searching_ns) + sum(timeline.parked_ns);
		const unknown = sum(timeline.unknown_ns);
		const box = $("verdict");
		box.className = v.severity || (v.judged ? "fine" : "warning");
		box.append(el("p", { class: "text" }, v.text));
		if (v.caveats.length) box.append(el("ul", { class: "caveats" }, v.caveats.map(c => el("li", {}, c))));
		box.append(el("div", { class: "tiles" },
			tile(duration(footer.duration_ns), "watched"),
			tile(count(footer.polls), "polls"),
			tile(duration(polls.p99_ns), "poll, p99"),
			tile(duration(polls.max_ns), "poll, longest"),
			tile(duration(delays.p99_ns), "wake to poll, p99"),
			tile(time ? percent(blocked / time) : "n/a", "of the workers' time blocked" + (unknown ? ", where it is known: " + percent(time / (time + unknown)) + " of it" : "")),
			tile(count(footer.events_lost), "events lost"),
			tile(footer.overhead_pct === null ? "n/a" : percent(footer.overhead_pct / 100), "of the program's CPU, cost of watching")));
	}

	// --- findings ---

	function place(f) {
		if (!f) return "";
		const name = f.function || (f.binary || "n/a").split("/").pop() + "+0x" + Number(f.offset).toString(16);
		return name + (f.file ? "  " + f.file + (f.line ? ":" + f.line : "") : "");
	}

	function stackList(frames, culprit) {
		const is = f => culprit && f.function === culprit.function && f.offset === culprit.offset && f.line === culprit.line;
		return el("ol", { class: "stack" }, frames.map(f =>
			el("li", { class: f.origin + (is(f) ? " culprit" : "") }, place(f) + (f.inlined ? "  (inlined)" : ""))));
	}

	function valueText(name, value) {
		if (value === null) return "n/a";
		if (name.endsWith("_ns")) return duration(value);
		if (name.endsWith("_bytes")) return bytes(value);
		if (name.endsWith("_ratio")) return percent(value);
		return typeof value === "boolean" ? (value ? "yes" : "no") : count(value);
	}

	function facts(f) {
		const list = el("dl", { class: "facts" });
		const add = (name, value) => { if (value) list.append(el("dt", {}, name), el("dd", {}, value)); };
		add("Where", f.site);
		add("Seen", count(f.count) + (f.count === 1 ? " time, first " : " times, first ") + after(f.first_ns) + " and last " + after(f.last_ns) + " into the recording" +
			(f.open ? ", still open at its end" : ""));
		if (f.worst_ns !== null) add("Lasted", (f.lower_bound ? "at least " : "") + duration(f.worst_ns) + " at worst, " + duration(f.total_ns) + " in all");
		add("Evidence", f.evidence + (f.syscall ? ", in " + f.syscall + (f.syscall_detail ? " (" + f.syscall_detail + ")" : "") : "") +
			(f.worker ? ", last on " + f.worker + " (tid " + f.tid + ")" : "") + (f.during_loss ? ", while events were lost" : ""));
		add("Culprit", place(f.culprit) + (f.culprit && f.call ? ", calling " + f.call : ""));
		add("Kernel", f.kernel_function);
		add("Tasks", f.tasks.slice(0, 8).join(", ") + (f.tasks.length > 8 ? ", …" : ""));
		add("Victims", f.victims.map(v => v.tasks + " of " + known(v.site) + ", up to " + duration(v.worst_ns)).join("; "));
		add("Effect of", f.cause ? f.cause.rule + (f.cause.site ? " of " + f.cause.site : "") : "");
		add("Effects", f.effects ? count(f.effects) + (f.effects === 1 ? " other finding" : " other findings") : "");
		add("Spawned", !f.spawn ? "" : f.spawn.binary ? place(f.spawn) : f.spawn.in_poll_of ? "a poll of " + f.spawn.in_poll_of : "");
		add("Values", Object.entries(f.values).map(([k, v]) => k + " " + valueText(k, v)).join(", "));
		return list;
	}

	const explained = new Set();

	function finding(f, open) {
		const rule = all("rule").find(r => r.rule === f.rule);
		const box = el("details", { class: "finding", open },
			el("summary", {}, el("span", { class: "badge " + f.severity }, f.severity), el("b", {}, f.rule), ": " + f.message),
			facts(f));
		if (f.advice) box.append(el("p", { class: "advice" }, f.advice));
		if (f.stack) box.append(el("h3", {}, "Stack, innermost first" + (f.stack_share === null ? "" : " (" + percent(f.stack_share) + " of what its stacks show)")), stackList(f.stack, f.culprit));
		// On paper a rule is explained once.
		const lesson = el("div", { class: explained.has(f.rule) ? "again" : "" });
		explained.add(f.rule);
		if (rule && rule.why) lesson.append(el("h3", {}, "Why it matters"), el("p", {}, rule.why));
		if (rule && rule.example_before)
			lesson.append(el("div", { class: "examples" },
				el("div", {}, el("h3", {}, "Before"), el("pre", {}, rule.example_before)),
				el("div", {}, el("h3", {}, "After"), el("pre", {}, rule.example_after || ""))));
		box.append(lesson);
		return box;
	}

	function drawFindings() {
		const list = all("finding");
		$("findings").append(...(list.length ? list.map((f, i) => finding(f, i < 3)) : [el("p", { class: "dim" }, "None.")]));
	}

	// --- timeline ---

	const W = 1200, LEFT = 150, LANE = 15;
	const X = i => LEFT + (W - LEFT) * i / timeline.slices;
	const moments = all("moment");

	// One row of bars, as high as `value(i)` says (0..1).
	function bars(y, height, kind, value) {
		const rects = [];
		for (let i = 0; i < timeline.slices; i++) {
			const v = Math.min(1, value(i));
			if (v > 0) rects.push(svg("rect", { class: "f-" + kind, x: X(i), y: y + height * (1 - v), width: Math.max(0.6, X(i + 1) - X(i)), height: Math.max(0.6, height * v) }));
		}
		return rects;
	}

	// Lengths differ by powers of ten: 100 µs is nothing, the longest is full height.
	function logScale(list) {
		const most = Math.max(...list, 1e6), low = Math.log(1e5);
		return i => list[i] > 1e5 ? Math.max(0.05, (Math.log(list[i]) - low) / (Math.log(most) - low)) : 0;
	}

	function rows() {
		const out = [];
		const most = list => Math.max(0, ...list.filter(x => x !== null));
		const row = (label, height, draw, title) => out.push({ label, height, draw, title: title || label });
		for (const m of moments.filter(m => m.kind === "finding").slice(0, 12)) {
			const from = (Number(m.begin_ns) - begin) / slice, to = (Number(m.end_ns) - begin) / slice;
			row(m.text.split(":")[0], 9, y => [svg("rect", { class: "f-" + m.severity, x: X(Math.max(0, from)), y: y + 1, width: Math.max(3, X(to) - X(from)), height: 7, rx: 2 })], m.text);
		}
		if (most(timeline.worst_poll_ns)) row("longest poll " + duration(most(timeline.worst_poll_ns)), 34, y => bars(y, 34, "poll", logScale(timeline.worst_poll_ns)));
		if (most(timeline.worst_wait_ns)) row("longest wait " + duration(most(timeline.worst_wait_ns)), 24, y => bars(y, 24, "wait", logScale(timeline.worst_wait_ns)));
		if (most(timeline.queued)) row("queued, up to " + count(most(timeline.queued)), 24, y => bars(y, 24, "queue", i => (timeline.queued[i] || 0) / most(timeline.queued)));
		if (most(timeline.lost)) row("events lost", 12, y => bars(y, 12, "lost", i => timeline.lost[i] ? 1 : 0));
		[...timeline.workers].sort((a, b) => a.pid - b.pid || a.tid - b.tid).forEach(w => row(known(w.name) + " " + w.tid, LANE + 5, y => [...longPolls(y, w), ...lane(y + 5, w)]));
		return out;
	}

	// The longest polls of a worker, where they really were: above its lane.
	function longPolls(y, w) {
		return moments.filter(m => m.kind === "poll" && m.tid === w.tid && m.pid === w.pid).map(m => {
			const from = X((Number(m.begin_ns) - begin) / slice), to = X((Number(m.end_ns) - begin) / slice);
			return svg("rect", { class: m.blocked_ns * 2 > Number(m.end_ns) - Number(m.begin_ns) ? "f-blocked" : "f-busy", x: Math.max(LEFT, from), y, width: Math.max(1, to - Math.max(LEFT, from)), height: 4 },
				svg("title", {}, m.text));
		});
	}

	// Busy below, the others on top of it, as parts of the slice.
	function lane(y, w) {
		const out = [svg("rect", { class: "f-parked", x: LEFT, y: y + LANE - 1, width: W - LEFT, height: 1 })];
		for (let i = 0; i < timeline.slices; i++) {
			let bottom = y + LANE;
			for (const [kind, list] of [["busy", w.busy_ns], ["preempted", w.preempted_ns], ["blocked", w.blocked_ns], ["unknown", w.unknown_ns]]) {
				const h = LANE * Math.min(1, list[i] / slice);
				if (h < 0.15) continue;
				bottom -= h;
				out.push(svg("rect", { class: "f-" + kind, x: X(i), y: Math.max(y, bottom), width: Math.max(0.6, X(i + 1) - X(i)), height: h }));
			}
		}
		return out;
	}

	// Queues are looked at now and then: the last value of the second before counts.
	function lastLook(list, at) {
		for (let i = at; i >= 0 && (at - i) * slice <= 1e9; i--)
			if (list[i] !== null) return list[i];
		return null;
	}

	function showSlice(at) {
		const from = begin + at * slice, to = from + slice, t = timeline;
		const inside = moments.filter(m => Number(m.begin_ns) < to && Number(m.end_ns) >= from);
		const box = $("at");
		box.replaceChildren(
			el("b", {}, duration(at * slice) + " to " + duration((at + 1) * slice)),
			" " + [clock(from), "busy " + duration(t.busy_ns[at]), "blocked " + duration(t.blocked_ns[at]), "preempted " + duration(t.preempted_ns[at]), t.unknown_ns[at] ? "not known " + duration(t.unknown_ns[at]) : "",
				count(t.polls[at]) + " polls", "longest that ended " + duration(t.worst_poll_ns[at]), "queued " + count(lastLook(t.queued, at)), "tasks alive " + count(lastLook(t.tasks_alive, at))].filter(Boolean).join(" · "));
		if (inside.length) box.append(el("ul", {}, inside.slice(0, 12).map(m => el("li", {}, m.kind + ": " + m.text)),
			inside.length > 12 ? el("li", { class: "dim" }, "and " + (inside.length - 12) + " more") : ""));
	}

	function drawTimeline() {
		const list = rows();
		let y = 4;
		const parts = [];
		for (const r of list) {
			parts.push(svg("text", { x: LEFT - 6, y: y + r.height / 2 + 4, "text-anchor": "end" }, svg("title", {}, r.title), r.label.length > 23 ? r.label.slice(0, 22) + "…" : r.label), ...r.draw(y));
			y += r.height + 4;
		}
		const axis = y + 12, span = timeline.slices * slice;
		for (let k = 0; k <= 8; k++) {
			const x = LEFT + (W - LEFT) * k / 8;
			parts.push(svg("line", { class: "grid", x1: x, x2: x, y1: 0, y2: y, "stroke-dasharray": "2 4" }),
				svg("text", { x, y: axis, "text-anchor": k === 8 ? "end" : k ? "middle" : "start" }, duration(span * k / 8)));
		}
		const cursor = svg("rect", { class: "cursor", x: LEFT, y: 0, width: 0, height: y });
		let selected = -1;
		const select = i => {
			selected = Math.max(0, Math.min(timeline.slices - 1, i));
			cursor.setAttribute("x", X(selected));
			cursor.setAttribute("width", Math.max(2, X(selected + 1) - X(selected)));
			showSlice(selected);
		};
		const pick = e => {
			const box = picture.getBoundingClientRect(), x = (e.clientX - box.left) * W / box.width;
			if (x >= LEFT) select(Math.floor((x - LEFT) / (W - LEFT) * timeline.slices));
		};
		const key = e => {
			const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[e.key];
			if (by) { select(selected + by); e.preventDefault(); }
		};
		const picture = svg("svg", { id: "timeline-svg", viewBox: "0 0 " + W + " " + (axis + 6), tabindex: 0, role: "img",
			"aria-label": "What each worker did over time; arrow keys move", on: { click: pick, keydown: key } }, ...parts, cursor);
		const legend = [["busy", "in polls, on the CPU"], ["blocked", "blocked in polls"], ["preempted", "preempted in polls"], ["task", "longest poll of each part"], ["searching", "longest wait of a ready task"]];
		if (timeline.unknown_ns.some(ns => ns)) legend.push(["line", "not known: not all polls were seen"]);
		$("timeline").append(
			el("div", { class: "legend" }, legend.map(([kind, text]) => el("span", {}, el("i", { style: "background:var(--" + kind + ")" }), text))),
			picture,
			el("p", { class: "dim" }, "Of a worker: its longest polls where they were, and below them its time, spread evenly between two looks at it, a fifth of a second apart as a rule."),
			timeline.workers_dropped ? el("p", { class: "dim" }, timeline.workers_dropped + " more workers have no line of their own.") : "",
			el("div", { id: "at", role: "status" }, "Click a place, or use the arrow keys: what happened then. A part is " + duration(slice) + " long."));
	}

	// --- flame graph ---

	const flames = {};
	for (const f of all("flame")) flames[f.of] = f;
	let shown = flames.blocked.root.value > 0 || !(flames.busy.root.value > 0) ? "blocked" : "busy", path = [];

	const amount = n => shown === "blocked" ? duration(n) : count(n) + (Number(n) === 1 ? " sample" : " samples");

	function addFrame(box, node, trail, left, width, depth, above) {
		if (width < 0.0015) return depth;
		const total = Number(flames[shown].root.value), share = total ? Number(node.value) / total : 0;
		const label = node.name + ": " + amount(node.value) + ", " + percent(share);
		const sought = $("sought").value.toLowerCase();
		const zoom = () => { path = trail; drawFrames(); };
		box.append(el("div", { class: "frame o-" + node.origin + (above ? " above" : "") + (sought && node.name.toLowerCase().includes(sought) ? " hit" : ""),
			style: "left:" + 100 * left + "%;width:" + 100 * width + "%;top:" + 20 * depth + "px", title: label, tabindex: 0, role: "button", "aria-label": label,
			on: { click: zoom, keydown: e => { if (e.key === "Enter") zoom(); } } }, node.name));
		return depth + 1;
	}

	function addBelow(box, node, trail, left, width, depth) {
		const total = Number(node.value);
		let deepest = depth, x = left;
		for (const child of [...node.children].sort((a, b) => Number(b.value) - Number(a.value))) {
			const w = total ? width * Number(child.value) / total : 0, mine = [...trail, child];
			if (w < 0.0015) continue;
			addFrame(box, child, mine, x, w, depth, false);
			deepest = Math.max(deepest, addBelow(box, child, mine, x, w, depth + 1));
			x += w;
		}
		return Math.max(deepest, depth);
	}

	function drawFrames() {
		const f = flames[shown], box = $("frames"), root = f.root;
		box.replaceChildren();
		let depth = addFrame(box, root, [], 0, 1, 0, path.length > 0);
		path.forEach((node, i) => { depth = addFrame(box, node, path.slice(0, i + 1), 0, 1, depth, i < path.length - 1); });
		const top = path.length ? path[path.length - 1] : root;
		const rowsCount = addBelow(box, top, path, 0, 1, depth);
		box.style.height = 20 * (rowsCount + 1) + "px";
		for (const of of ["blocked", "busy"]) $("show-" + of).setAttribute("aria-pressed", of === shown);
		$("flame-says").textContent = f.stacks ? amount(root.value) + " in " + count(f.stacks) + " stacks; these are samples of what happened" +
			(f.stacks_cut ? ", " + f.stacks_cut + " lack their inner frames for want of room" : "") + ". A click zooms, the top frame shows all."
			: "No stack was taken of " + (shown === "blocked" ? "a block." : "a long poll on the CPU.");
	}

	function drawFlame() {
		const button = of => el("button", { id: "show-" + of, type: "button", on: { click: () => { shown = of; path = []; drawFrames(); } } },
			of === "blocked" ? "Blocked time" : "Busy samples");
		$("flame").append(
			el("div", { class: "bar" }, button("blocked"), button("busy"),
				el("input", { id: "sought", type: "search", placeholder: "find a function", "aria-label": "find a function", on: { input: () => drawFrames() } })),
			el("div", { class: "legend" }, [["task", "task type"], ["user", "program"], ["library", "library"], ["runtime", "runtime"], ["std", "std"], ["system", "system"]]
				.map(([kind, text]) => el("span", {}, el("i", { style: "background:var(--" + kind + ")" }), text))),
			el("p", { id: "flame-says", class: "dim" }),
			el("div", { id: "frames", class: "flames" }));
		drawFrames();
	}

	// --- tables ---

	// columns: [title, value of a row, how to show it]; text when the first value is one.
	function table(id, list, columns, by) {
		if (!list.length) { $(id).append(el("p", { class: "dim" }, "None.")); return; }
		const body = el("tbody");
		const kind = ([, , show]) => show ? null : "text";
		const heads = columns.map((column, i) => el("th", { class: kind(column), scope: "col" }, el("button", { type: "button", on: { click: () => sort(i) } }, column[0])));
		let order = 0, last = -1;
		const row = o => el("tr", {}, columns.map(c => el("td", { class: kind(c) }, c[2] ? c[2](c[1](o)) : known(c[1](o)))));
		function sort(i, first) {
			const text = !columns[i][2];
			order = last === i ? -order : first || (text ? 1 : -1);
			last = i;
			const key = o => columns[i][1](o);
			const sorted = list.map((o, n) => [key(o), n, o]).sort(([a, n], [b, m]) => {
				if (a === null || b === null) return (a === null) - (b === null) || n - m;
				return order * (text ? String(a).localeCompare(String(b)) : Number(a) - Number(b)) || n - m;
			});
			body.replaceChildren(...sorted.map(([, , o]) => row(o)));
			heads.forEach((head, k) => k === i ? head.setAttribute("aria-sort", order > 0 ? "ascending" : "descending") : head.removeAttribute("aria-sort"));
		}
		sort(by[0], by[1]);
		$(id).append(el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, heads)), body)));
	}

	function drawTables() {
		table("latency", all("latency"), [["What", l => (l.of === "polls" ? "length of a poll" : "from a wake to the poll") + (l.unknown_because ? ": " + l.unknown_because : "")],
			["Count", l => l.count, count], ["p50", l => l.p50_ns, duration], ["p90", l => l.p90_ns, duration], ["p99", l => l.p99_ns, duration],
			["p99.9", l => l.p999_ns, duration], ["Max", l => l.max_ns, duration]], [1, -1]);
		$("latency").append(el("p", { class: "dim" }, "Percentiles are upper bounds, at most 25 % too high."));
		table("sites", all("site"), [["Task type", s => known(s.site) + (s.sampled ? " (sampled)" : "")], ["Polls", s => s.polls, count], ["p50", s => s.p50_ns, duration],
			["p99", s => s.p99_ns, duration], ["Max", s => s.max_ns, duration], ["In polls", s => s.in_polls_ns, duration], ["Blocked", s => s.blocked_ns, duration],
			["Preempted", s => s.preempted_ns, duration], ["Delay p99", s => s.delay_p99_ns, duration], ["Tasks seen", s => s.tasks_seen, count], ["Live", s => s.tasks_live, count]], [5, -1]);
		const part = key => w => {
			const sum = w.busy_ns + w.blocked_ns + w.preempted_ns + w.searching_ns + w.parked_ns;
			return sum ? w[key] / sum : null;
		};
		all("worker").forEach(w => { for (const key of ["busy_ns", "blocked_ns", "preempted_ns", "searching_ns", "parked_ns"]) w[key] = Number(w[key]); });
		table("workers", all("worker"), [["Worker", w => w.name], ["tid", w => w.tid, known], ["Polls", w => w.polls, count], ["Busy", part("busy_ns"), percent], ["Blocked", part("blocked_ns"), percent],
			["Preempted", part("preempted_ns"), percent], ["Searching", part("searching_ns"), percent], ["Parked", part("parked_ns"), percent],
			["State at the end", w => w.state + (w.site ? " " + w.site : "")]], [4, -1]);
		table("moments", moments, [["At", m => Number(m.begin_ns) - begin, x => duration(Math.max(0, x))], ["For", m => Number(m.end_ns) - Number(m.begin_ns), x => x ? duration(x) : "–"],
			["Kind", m => m.kind], ["What", m => m.text]], [0, 1]);
	}

	function drawWatch() {
		const rules = footer.rules, list = el("dl", { class: "facts" });
		const add = (name, value) => { if (value) list.append(el("dt", {}, name), el("dd", {}, value)); };
		add("Trace", trace.file + ", " + bytes(trace.bytes) + ", " + count(trace.events) + " events, recorded by " + known(trace.recorded_by) + " on " + known(trace.kernel));
		add("Complete", trace.incomplete ? "no: it was not closed" : "yes");
		add("Skipped", Number(trace.skipped_bytes) ? trace.skipped_bytes + " bytes that could not be read" : "nothing");
		add("Settings", trace.settings.join(", "));
		add("Probes", footer.hits === null ? "n/a" : "level " + footer.level + ", " + count(footer.hits) + " hits = " + count(footer.emitted) + " emitted + " + count(footer.filtered) + " filtered + " + footer.lost + " lost");
		add("Stacks", count(footer.stacks_lost) + " lost, " + count(footer.stacks_limited) + " not taken because there were enough, " + count(footer.stacks_dropped) + " not kept");
		if (rules) for (const kind of ["limited", "off"])
			add("Rules, " + kind, rules[kind].map(r => r.rule + " (" + r.why + ")").join("; "));
		$("watch").append(list);
		const notes = all("note");
		if (notes.length) $("watch").append(el("h3", {}, "Notes"), el("ul", {}, notes.map(n => el("li", {}, after(n.time_ns) + ": " + n.text))));
	}

	drawHead();
	drawVerdict();
	drawFindings();
	drawTimeline();
	drawFlame();
	drawTables();
	drawWatch();
	// On paper nothing can be opened.
	addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(d => { d.open = true; }));
})();
