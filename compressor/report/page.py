"""One HTML page with every picture inside: nothing is fetched when it is opened."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compressor.coders import bytes_by_coder
from compressor.plots.accuracy_and_bytes import plot_accuracy_and_bytes
from compressor.plots.accuracy_and_sparsity import plot_accuracy_and_sparsity
from compressor.plots.canvas import rendered
from compressor.plots.layers import plot_bits, plot_bytes, plot_stages
from compressor.plots.weights import plot_centroids, plot_histograms
from compressor.report.published import CLASSES, PUBLISHED, PUBLISHED_SPARSE
from compressor.report.subject import DECODED, DENSE, Subject
from compressor.stages import BEFORE_SHARING
from model_store.accounting import account

LAYERS_IN_HISTOGRAMS = 24
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #0f172a }
img { max-width: 100%; height: auto } h1, h2 { line-height: 1.2 } h2 { margin-top: 3rem }
table { border-collapse: collapse; margin: 1rem 0 } caption { text-align: left; font-weight: 600 }
th, td { border-bottom: 1px solid #e2e8f0; padding: .2rem .8rem; text-align: right }
th:first-child, td:first-child { text-align: left } figcaption { color: #475569; font-size: .9rem }
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG: its file name, what it shows, and how to read it."""

    name: str
    png: bytes
    alternative: str
    caption: str

    def to_html(self) -> str:
        source = base64.b64encode(self.png).decode()
        image = f'<img src="data:image/png;base64,{source}" alt="{html.escape(self.alternative)}">'
        return f"<figure>{image}<figcaption>{html.escape(self.caption)}</figcaption></figure>"


def overview(subjects: Sequence[Subject]) -> list[Picture]:
    """What compares all bundles: accuracy against bytes, and stage by stage."""
    ours = [(s.name, len(s.data), s.accuracy) for s in subjects if s.accuracy is not None]
    cifar = any(set(subject.bundle.class_names) == CLASSES for subject in subjects)
    pictures = []
    if ours:
        figure = plot_accuracy_and_bytes(ours, published=cifar)
        note = "Hollow: published coded sizes on CIFAR-10, sources below. " if cifar else ""
        caption = f"{note}Filled: the bundles of this report, bytes of the file, accuracy of the decoded file."
        pictures.append(Picture("accuracy-and-bytes.png", rendered(figure), "Accuracy against bytes", caption))
        sparse = [(s.name, s.bundle.sparsity, s.accuracy) for s in subjects if s.accuracy is not None]
        figure = plot_accuracy_and_sparsity(sparse, published=cifar)
        note = "Hollow: published sparse networks on CIFAR-10, sources below. " if cifar else ""
        caption = f"{note}Filled: the bundles of this report. Sparsity is the share of convolution and linear weights."
        pictures.append(Picture("accuracy-and-sparsity.png", rendered(figure), "Accuracy against sparsity", caption))
    staged = [(s.name, s.accuracies, s.accuracy) for s in subjects if s.accuracies]
    if staged:
        caption = (
            "On the part of train held out, where choices are made; the diamond is the one look at the test pictures."
        )
        pictures.append(Picture("stages.png", rendered(plot_stages(staged)), "Accuracy stage by stage", caption))
    return pictures


def pictures_of(subject: Subject) -> list[Picture]:
    """The pictures of one bundle."""
    name, layers = subject.name, subject.shared_layers()
    by_layer = account(subject.data).by_layer()
    pictures = [
        Picture(
            f"{name}-bytes.png", rendered(plot_bytes(by_layer)), f"Bytes by layer and kind of {name}",
            "Every byte of the file is attributed; the legend has the sums.",
        )
    ]  # fmt: skip
    if any(tensor.nonzeros for tensor in layers.values()):
        figure = plot_bits(layers, subject.stream_bytes())
        caption = (
            "Before: relative indices and codes of fixed width, the width that is smallest for the layer, filler "
            "entries counted (Han et al. 2016). After: the bytes of the file's streams, whatever layout was smallest."
        )
        pictures.append(Picture(f"{name}-bits.png", rendered(figure), f"Bits a weight of {name}", caption))
        pictures += _centroids(subject)
    shown = list(subject.stages[DECODED])[:LAYERS_IN_HISTOGRAMS]
    figure = plot_histograms(list(subject.stages.items()), shown)
    caption = f"Stages whose weights are at hand: {', '.join(subject.stages)}. The first {len(shown)} layers."
    pictures.append(Picture(f"{name}-weights.png", rendered(figure), f"Weights of {name} by stage", caption))
    return pictures


def _centroids(subject: Subject) -> list[Picture]:
    """The layer with most weights left, as it was before sharing; none where that is not at hand."""
    layers = subject.shared_layers()
    layer = max(layers, key=lambda name: layers[name].nonzeros)
    weights, which = _before_sharing(subject, layer)
    if weights is None:
        return []
    figure = plot_centroids(layer, weights, len(layers[layer].codebook))
    caption = f"Ticks: where k-means begins; dots: where it ends. Over {which} (Han et al. 2016, section 3.2)."
    alternative = f"Centroids of {layer} by initialisation"
    return [Picture(f"{subject.name}-centroids.png", rendered(figure), alternative, caption)]


def _before_sharing(subject: Subject, layer: str) -> tuple[np.ndarray | None, str]:
    pruned = [stage for stage in subject.stages if stage.startswith(BEFORE_SHARING) and layer in subject.stages[stage]]
    if pruned:
        return subject.stages[pruned[-1]][layer], "the pruned and retrained weights"
    if layer in subject.stages.get(DENSE, {}):
        survivors = subject.stages[DECODED][layer] != 0
        return subject.stages[DENSE][layer] * survivors, "the dense weights of what survived"
    return None, ""


def page_of(subjects: Sequence[Subject], pictures: Mapping[str, Sequence[Picture]]) -> str:
    """The whole page; `pictures[""]` compares the bundles, the others are by name."""
    title = "csrve: " + ", ".join(subject.name for subject in subjects)
    parts = [f"<h1>{html.escape(title)}</h1>", _figures_table(subjects)]
    parts += [picture.to_html() for picture in pictures[""]]
    for subject in subjects:
        parts.append(f"<h2>{html.escape(subject.name)}</h2>")
        parts += [picture.to_html() for picture in pictures[subject.name]]
    parts.append(_sources())
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _figures_table(subjects: Sequence[Subject]) -> str:
    head = (
        "bundle", "network", "dense bytes", "file bytes", "ratio", "by Huffman", "by arithmetic coder", "sparsity",
        "accuracy of the file",
    )  # fmt: skip
    rows = []
    for subject in subjects:
        bundle, size = subject.bundle, len(subject.data)
        accuracy = f"{subject.accuracy:.2%}" if subject.accuracy is not None else "not recorded"
        ratio = f"{bundle.dense_bytes / size:.1f}"
        coders = (f"{by_coder:,}" for by_coder in bytes_by_coder(bundle).values())
        sizes = (f"{bundle.dense_bytes:,}", f"{size:,}", ratio, *coders, f"{bundle.sparsity:.1%}")
        rows.append((subject.name, bundle.architecture, *sizes, accuracy))
    return _table(head, rows)


def _sources() -> str:
    rows = [(p.method, p.network, f"{p.size_bytes:,}", f"{p.accuracy:.2%}", p.source) for p in PUBLISHED]
    table = _table(("method", "network", "coded bytes", "accuracy", "source"), rows)
    sparse = [(p.method, p.network, f"{p.sparsity:.2%}", f"{p.accuracy:.2%}", p.source) for p in PUBLISHED_SPARSE]
    without_file = _table(("method", "network", "sparsity", "accuracy", "source"), sparse)
    return (
        f"<h2>Published points</h2>\n<p>Only sizes of coded networks; counts of parameters are left out.</p>{table}"
        f"\n<p>Sparsity alone, with no file:</p>{without_file}"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "<table>" + line("th", head) + "".join(line("td", row) for row in rows) + "</table>"
