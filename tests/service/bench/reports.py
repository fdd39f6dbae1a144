"""A report of two networks as a run could have left it."""

from service.bench.report import FORMAT, TOLERANCE, Conditions, DecoderRow, LoadRow, Report, Row, Subject
from service.bench.rounds import Pace, Timing


def timing(median_s: float) -> Timing:
    return Timing(15, median_s, 0.9 * median_s, 1.2 * median_s, 0.8 * median_s)


def example_report() -> Report:
    conditions = Conditions(
        "python -m service bench a.csrve synthetic:b",
        "2026-01-02T03:04:05+00:00",
        0,
        "a processor",
        2,
        ["avx2", "plain"],
        {"python": "3.11.7", "numpy": "2.4.6"},
        {"1": 58.74e9, "2": 117e9},
        Pace(5, 0.15),
        TOLERANCE,
        {"openvino": "needs openvino, which is not installed"},
    )
    subjects = (
        Subject("a.csrve", "net", "ab" * 32, 69408, 1084392, 269722, 80501, 15_800_000, 40_600_000),
        Subject("synthetic:b", "net2", "cd" * 32, 663236, 44734248, 11173962, 559662, 71_200_512, 555_422_720),
    )
    wrong = "disagrees: logits differ by 0.5 of the largest, more than 0.0001"
    rows = (
        Row("a.csrve", 1, 1, "native", False, 1e-7, "", timing(0.0004), 2.5, 0.281),
        Row("a.csrve", 1, 1, "torch", True, 1e-7, "", timing(0.001), 1.0, 0.112),
        Row("a.csrve", 1, 1, "onnxruntime", True, 0.5, wrong, timing(0.0002), None, None),
        Row("a.csrve", 1, 64, "native", False, 1e-7, "", timing(0.02), 3.0, None),
        Row("a.csrve", 1, 64, "torch", True, 1e-7, "", timing(0.06), 1.0, None),
        Row("a.csrve", 1, 64, "onnxruntime", True, None, "its process ended with status -11", None, None, None),
        Row("synthetic:b", 2, 1, "native", False, 1e-7, "", timing(1.2345), None, 0.5),
    )
    loads = (
        LoadRow("a.csrve", 1, "native", 69408, {"read": 1e-4, "decode": 0.0022}, timing(0.0023), timing(4e-4), ""),
        LoadRow("a.csrve", 1, "torch", 1084880, {}, None, None, "no answer in 600 s"),
    )
    decoders = (
        DecoderRow("a.csrve", 1, 160_000, timing(0.0002), ""),
        DecoderRow("a.csrve", 2, 0, None, "its process ended with status -11"),
    )
    return Report(FORMAT, conditions, subjects, rows, loads, decoders)
