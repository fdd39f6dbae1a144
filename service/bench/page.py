"""A report for people: on the terminal, or as a page of Markdown."""

from model_store.description import render_table
from service.bench.report import Report
from service.bench.tables import Table, decoders_table, loads_table, problems, runs_table, subjects_table, summary_table

HEAD = """# Benchmarks

Made by `python -m service bench --render FILE` from the JSON file that a run left; nothing is typed in by hand. All
engines have the same graph and the same weights: ours load the bundle, the others its decoded weights, dense, in
float32. Each engine has a process of its own for each number of threads, confined to as many processors, and only one
runs at a time. They take turns, A B C A B C, and each turn begins with a warm-up that does not count (engines that take
longer than a turn for one run warm up in the first round only). *torch-compile* is inductor with frozen weights.

- *median*, *quartiles*: of all runs of a whole batch; half of the runs lie between the quartiles.
- *ratio*: the best dense runtime's median over this engine's, for the same network, threads and batch. The best dense
  runtime is the fastest of those that were measured (torch, torch-compile, onnxruntime, OpenVINO) and agree.
- *FMA peak*: the multiply-adds that non-zero weights need, each weight once for every output pixel, as a share of what
  the processor's registers can do. Work an engine does beyond that, on zeros or on padding, is not counted.
- An engine that *disagrees* has logits further from the numpy engine's than the tolerance; its times do not count.
- *ready*: from the file, which the system has cached, to a network that can run. For a bundle that is reading,
  verifying and decoding, and compiling a plan; for torch, safetensors into a module that is made before the clock
  starts.
"""
SYMBOLS = """
- *symbols*: of all Huffman streams of a bundle, gaps and values; the time is that of decoding them in our own engine's
  process, with the tables made from code lengths.
"""

ON_GPU = (
    "engines named cuda: pictures and logits stay on the GPU, and each run ends when the device has; those named tf32 "
    "or bf16 multiply dense layers in that, and may lie further from the numpy engine's logits"
)


def render_text(report: Report) -> str:
    """Lines for the terminal."""
    blocks = ["\n".join(_conditions(report)), _text(subjects_table(report)), _text(summary_table(report))]
    if report.decoders:
        blocks.append(_text(decoders_table(report)))
    for subject in report.networks:
        lines = [subject.name, "", _text(runs_table(report, subject.name))]
        if len(loads_table(report, subject.name)) > 1:
            lines += ["", _text(loads_table(report, subject.name))]
        blocks.append("\n".join([*lines, *problems(report, subject.name)]))
    return "\n\n".join(blocks) + "\n"


def render_page(report: Report) -> str:
    """All of the Markdown page."""
    head = (HEAD.strip() + SYMBOLS.rstrip()) if report.decoders else HEAD.strip()
    blocks = [head, _list(_conditions(report)), f"    {report.conditions.command}"]
    blocks += ["## Summary", _markdown(summary_table(report)), _markdown(subjects_table(report))]
    if report.decoders:
        blocks.append(_markdown(decoders_table(report)))
    for subject in report.networks:
        blocks += [f"## {subject.name}", _markdown(runs_table(report, subject.name))]
        if len(loads_table(report, subject.name)) > 1:
            blocks.append(_markdown(loads_table(report, subject.name)))
        if problems(report, subject.name):
            blocks.append(_list(problems(report, subject.name)))
    return "\n\n".join(blocks) + "\n"


def _conditions(report: Report) -> list[str]:
    conditions = report.conditions
    sets = ", ".join(conditions.instruction_sets) or "none"
    lines = [
        f"{conditions.processor}, {conditions.processors} processors; instruction sets of the native engine: {sets}",
        *(f"FMA peak, threads {threads}: {peak / 1e9:.1f} GMAC/s" for threads, peak in conditions.peaks.items()),
        *([ON_GPU] if "gpu" in conditions.versions else []),
        ", ".join(f"{package} {version}" for package, version in conditions.versions.items()),
        f"{conditions.pace.rounds} rounds, turns of {conditions.pace.turn_s:g} s after {conditions.pace.warm_up_s:g} s "
        f"of warm-up, seed {conditions.seed}, tolerance {conditions.tolerance:g}, started {conditions.started}",
    ]
    crowded = sorted({row.threads for row in report.rows if row.threads > conditions.processors})
    lines += [f"threads {threads}: more than there are processors" for threads in crowded]
    return lines + [f"left out: {engine}: it {reason}" for engine, reason in conditions.left_out.items()]


def _text(table: Table) -> str:
    return "\n".join(line.rstrip() for line in render_table(table))


def _markdown(table: Table) -> str:
    lines = [table[0], ["---"] * len(table[0]), *table[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
