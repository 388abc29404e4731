#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pictures of the live view for the documentation, made from the cells of the terminal emulator.

    tests/screen/pictures.py            writes docs/screens/*.svg and *.txt
    tests/screen/pictures.py --check    says which differ; exit code 1

The view runs over scripted events with a fixed clock (tui_driver), so they come out the same each time.
"""
import pathlib
import sys
from html import escape

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OUT = ROOT / "docs" / "screens"
sys.path[:0] = [str(HERE), str(HERE.parent)]

from built import built  # noqa: E402
from terminal import Terminal  # noqa: E402

COLS, ROWS = 120, 30
# name, script, keys
PICTURES = [
    ("findings", "stack", ["1"]),
    ("finding", "stack", ["1", "enter"]),
    ("workers", "stack", ["2"]),
    ("sites", "stack", ["3"]),
    ("tasks", "stack", ["4"]),
    ("timeline", "stack", ["5", *["left"] * 5]),
    ("self", "stack", ["6"]),
    ("help", "stack", ["2", "?"]),
]
TICKS = "570"

CELL_W, CELL_H, PAD, BASE = 8, 17, 10, 13
BACK, FORE = "#14171c", "#d6dbe3"
# The names that pyte gives to the first sixteen.
NAMED = {"black": "#000000", "red": "#d55e00", "green": "#009e73", "brown": "#e69f00",
         "blue": "#56b4e9", "magenta": "#cc79a7", "cyan": "#56b4e9", "white": "#d6dbe3"}


def colour(name, default):
    if name == "default":
        return default
    return NAMED.get(name, f"#{name}")


def looks(cell):
    """(foreground, background, bold, underlined) of a cell."""
    fore, back = colour(cell.fg, FORE), colour(cell.bg, BACK)
    if cell.reverse:
        fore, back = back, fore
    return fore, back, cell.bold, cell.underscore


def runs(line, cols):
    """(column, text, looks) of neighbours that look alike."""
    out = []
    for x in range(cols):
        cell = line[x]
        if out and out[-1][2] == looks(cell):
            out[-1][1] += cell.data
        else:
            out.append([x, cell.data, looks(cell)])
    return out


def svg(screen):
    width, height = screen.columns * CELL_W + 2 * PAD, screen.lines * CELL_H + 2 * PAD
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
           f'height="{height}" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" '
           f'font-size="13">', f'<rect width="100%" height="100%" rx="6" fill="{BACK}"/>']
    for y in range(screen.lines):
        for x, text, (fore, back, bold, under) in runs(screen.buffer[y], screen.columns):
            left, top = PAD + x * CELL_W, PAD + y * CELL_H
            if back != BACK:
                out.append(f'<rect x="{left}" y="{top}" width="{len(text) * CELL_W}" '
                           f'height="{CELL_H}" fill="{back}"/>')
            if not text.strip():
                continue
            more = ' font-weight="bold"' if bold else ""
            more += ' text-decoration="underline"' if under else ""
            # The length makes it fit, whatever the font.
            out.append(f'<text x="{left}" y="{top + BASE}" fill="{fore}"{more} xml:space="preserve" '
                       f'textLength="{len(text) * CELL_W}">{escape(text)}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"


def take(driver, script, keys):
    """(text, svg) of a screen."""
    argv = [driver, "--script", script, "--rules", str(HERE / "rules"), "--ticks", TICKS]
    t = Terminal(argv, cols=COLS, rows=ROWS, synced=True)
    try:
        t.wait_text("stalltop", deadline=20)
        t.settle()
        for key in keys:
            t.keys(key)
            t.settle()
        # Answered after the last key was: what is on the screen is complete.
        t.command("show")
        t.settle()
        return t.text(), svg(t.screen)
    finally:
        t.close()


def files(driver):
    for name, script, keys in PICTURES:
        text, picture = take(driver, script, keys)
        yield f"{name}.txt", text
        yield f"{name}.svg", picture


def differing(driver):
    """Names of pictures that are not what the view shows now."""
    return [name for name, made in files(driver)
            if not (OUT / name).exists() or (OUT / name).read_text(encoding="utf-8") != made]


def main():
    driver = str(built(".output/tests/tui_driver"))
    if "--check" in sys.argv[1:]:
        wrong = differing(driver)
        print("\n".join(wrong) or "all pictures are up to date")
        sys.exit(1 if wrong else 0)
    OUT.mkdir(exist_ok=True)
    for name, made in files(driver):
        (OUT / name).write_text(made, encoding="utf-8")
        print(OUT.relative_to(ROOT) / name)


if __name__ == "__main__":
    main()
