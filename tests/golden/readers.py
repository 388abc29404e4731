# SPDX-License-Identifier: LGPL-2.1-or-later
"""Readers of what `export` writes, made from what is published of each format and nothing of ours.

Perfetto: field numbers of protos/perfetto/trace (trace_packet, track_event, track_descriptor, ...);
a field that is not in the table, or has another wire type, is an error. Folded: as flamegraph.pl
reads it. speedscope: the conditions that its importer of its own format relies on.
"""

import json
import re
import struct

VARINT, FIXED64, BYTES = 0, 1, 2

# message -> field number -> (name, what it is)
SCHEMA = {
    "Trace": {1: ("packet", "TracePacket")},
    "TracePacket": {
        6: ("clock_snapshot", "ClockSnapshot"), 8: ("timestamp", "uint"),
        10: ("trusted_packet_sequence_id", "uint"), 11: ("track_event", "TrackEvent"),
        12: ("interned_data", "InternedData"), 13: ("sequence_flags", "uint"),
        58: ("timestamp_clock_id", "uint"), 59: ("trace_packet_defaults", "TracePacketDefaults"),
        60: ("track_descriptor", "TrackDescriptor")},
    "TracePacketDefaults": {58: ("timestamp_clock_id", "uint")},
    "ClockSnapshot": {1: ("clocks", "Clock"), 2: ("primary_trace_clock", "uint")},
    "Clock": {1: ("clock_id", "uint"), 2: ("timestamp", "uint")},
    "InternedData": {1: ("event_categories", "Interned"), 2: ("event_names", "Interned")},
    "Interned": {1: ("iid", "uint"), 2: ("name", "string")},
    "TrackDescriptor": {
        1: ("uuid", "uint"), 2: ("name", "string"), 3: ("process", "ProcessDescriptor"),
        4: ("thread", "ThreadDescriptor"), 5: ("parent_uuid", "uint"),
        8: ("counter", "CounterDescriptor")},
    "ProcessDescriptor": {1: ("pid", "int"), 6: ("process_name", "string")},
    "ThreadDescriptor": {1: ("pid", "int"), 2: ("tid", "int"), 5: ("thread_name", "string")},
    "CounterDescriptor": {3: ("unit", "uint")},
    "TrackEvent": {
        3: ("category_iids", "uint"), 4: ("debug_annotations", "DebugAnnotation"),
        9: ("type", "uint"), 10: ("name_iid", "uint"), 11: ("track_uuid", "uint"),
        23: ("name", "string"), 30: ("counter_value", "int"), 47: ("flow_ids", "fixed64"),
        48: ("terminating_flow_ids", "fixed64")},
    "DebugAnnotation": {
        2: ("bool_value", "uint"), 3: ("uint_value", "uint"), 6: ("string_value", "string"),
        10: ("name", "string"), 12: ("array_values", "DebugAnnotation")},
}
REPEATED = {"packet", "clocks", "event_categories", "event_names", "debug_annotations",
            "array_values", "category_iids", "flow_ids", "terminating_flow_ids"}
BEGIN, END, INSTANT, COUNTER = 1, 2, 3, 4


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            assert value < 1 << 64
            return value, at


def decode(data, message="Trace"):
    out, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        assert tag >> 3 in SCHEMA[message], f"field {tag >> 3} of {message} is not in the schema"
        name, what = SCHEMA[message][tag >> 3]
        wire = {"uint": VARINT, "int": VARINT, "fixed64": FIXED64}.get(what, BYTES)
        assert tag & 7 == wire, f"{message}.{name} has wire type {tag & 7}"
        if wire == VARINT:
            value, at = varint(data, at)
            value -= (1 << 64) if what == "int" and value >> 63 else 0
        elif wire == FIXED64:
            value = struct.unpack_from("<Q", data, at)[0]
            at += 8
        else:
            size, at = varint(data, at)
            assert at + size <= len(data)
            value = data[at:at + size]
            at += size
            value = value.decode() if what == "string" else decode(value, what)
        if name in REPEATED:
            out.setdefault(name, []).append(value)
        else:
            assert name not in out, f"{message}.{name} comes twice"
            out[name] = value
    return out


def annotations(event):
    out = {}
    for a in event.get("debug_annotations", ()):
        assert a["name"] not in out
        out[a["name"]] = [v["string_value"] for v in a["array_values"]] if "array_values" in a else \
            next(v for k, v in a.items() if k != "name")
    return out


class Perfetto:
    """Tracks, and on each what a viewer shows: slices, instants, counter values."""

    def __init__(self, data):
        self.tracks, self.slices, self.instants, self.counters = {}, [], [], []
        self.flows = {}
        names, categories, events, started = {}, {}, [], False
        for packet in decode(data)["packet"]:
            assert packet["trusted_packet_sequence_id"] == 1
            if packet["sequence_flags"] == 1:
                assert not started and packet["trace_packet_defaults"]["timestamp_clock_id"] == 3
                started = True
            assert started
            for table, key in ((categories, "event_categories"), (names, "event_names")):
                for entry in packet.get("interned_data", {}).get(key, ()):
                    assert entry["iid"] not in table
                    table[entry["iid"]] = entry["name"]
            if "clock_snapshot" in packet:
                self.clocks = {c["clock_id"]: c["timestamp"] for c in packet["clock_snapshot"]["clocks"]}
            if "track_descriptor" in packet:
                self.tracks[packet["track_descriptor"]["uuid"]] = packet["track_descriptor"]
            if "track_event" in packet:
                event = packet["track_event"]
                assert event["track_uuid"] in self.tracks
                event["name"] = names[event["name_iid"]] if "name_iid" in event else event.get("name")
                event["category"] = [categories[c] for c in event.get("category_iids", ())]
                events.append((packet["timestamp"], event))
        events.sort(key=lambda e: e[0])  # stable, as the viewer's
        stacks = {}
        for time, event in events:
            self.take(time, event, stacks.setdefault(event["track_uuid"], []))
        self.unfinished = [s for stack in stacks.values() for s in stack]

    def take(self, time, event, stack):
        item = {"track": event["track_uuid"], "name": event["name"], "start": time,
                "category": (event["category"] or [None])[0], "args": annotations(event),
                "parent": stack[-1] if stack else None}
        if event["type"] == COUNTER:
            assert "counter" in self.tracks[item["track"]]
            self.counters.append((item["track"], time, event["counter_value"]))
            return
        assert "counter" not in self.tracks[item["track"]]
        for flow in event.get("flow_ids", ()):
            assert flow not in self.flows
            self.flows[flow] = (item, None)
        for flow in event.get("terminating_flow_ids", ()):
            assert self.flows[flow][1] is None
            self.flows[flow] = (self.flows[flow][0], item)
        if event["type"] == BEGIN:
            stack.append(item)
        elif event["type"] == END:
            ended = stack.pop()
            ended["length"] = time - ended["start"]
            self.slices.append(ended)
        else:
            assert event["type"] == INSTANT
            self.instants.append(item)

    def of(self, category):
        return [s for s in self.slices if s["category"] == category]

    def instants_of(self, category):
        return [i for i in self.instants if i["category"] == category]

    def tid(self, item):
        return self.tracks[item["track"]].get("thread", {}).get("tid")


def folded(text):
    """[(frames, weight)], outermost first."""
    rows = []
    for line in text.splitlines():
        match = re.fullmatch(r"(.*)\s+(\d+)", line)
        assert match, line
        frames = match[1].split(";")
        assert all(frames), line
        rows.append((tuple(frames), int(match[2])))
    assert len({r[0] for r in rows}) == len(rows), "a stack has two lines"
    return rows


def speedscope(text):
    """Name of the profile -> [(frames, weight)]."""
    doc = json.loads(text)
    assert doc["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = doc["shared"]["frames"]
    for f in frames:
        assert set(f) <= {"name", "file", "line", "col"} and isinstance(f["name"], str)
    out = {}
    for p in doc["profiles"]:
        assert p["type"] == "sampled" and len(p["samples"]) == len(p["weights"])
        assert p["unit"] in ("none", "nanoseconds", "microseconds", "milliseconds", "seconds", "bytes")
        assert p["startValue"] == 0 and p["endValue"] == sum(p["weights"])
        assert all(0 <= i < len(frames) for s in p["samples"] for i in s)
        out[p["name"]] = [(tuple(frames[i]["name"] for i in s), w)
                          for s, w in zip(p["samples"], p["weights"])]
    return out
