"""Plots show the arrays that they say they show."""

import csv

import numpy as np
import pytest
from drawing import picture, size_of, small_vgg
from matplotlib.figure import Figure

from nst_numpy import Objective, losses
from nst_numpy.inspection import plots

NETWORK, IMAGE = small_vgg(), picture(1, 24, 32)


def shown(figure):
    """{title: array} of the pictures in a figure."""
    return {axes.get_title(): np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images}


def test_features_are_those_of_the_filters_that_respond_most():
    figure = plots.features(NETWORK, IMAGE, ["conv2_1", "relu3_1"], count=3)
    assert isinstance(figure, Figure) and figure.get_suptitle() == "The filters that respond most"
    pictures, expected = shown(figure), {}
    for name, layer in (("conv2_1", "conv2_1"), ("relu3_1", "conv3_1")):
        a = NETWORK.features(IMAGE, layer)[layer]
        for k in sorted(range(a.shape[2]), key=lambda k: -a[:, :, k].mean())[:3]:
            expected[f"{name}, filter {k}"] = a[:, :, k]
    assert list(pictures) == list(expected)
    for title, a in expected.items():
        assert np.array_equal(pictures[title], a)


def test_features_are_16_or_all_that_there_are():
    assert len(shown(plots.features(small_vgg(widths=(20, 5, 6, 7, 8)), IMAGE, "conv1_1"))) == 16
    assert len(shown(plots.features(NETWORK, IMAGE, "conv1_1"))) == 4


def test_gram_matrices():
    layers = ["conv1_1", "relu3_1"]
    figure = plots.gram_matrices(NETWORK, IMAGE, layers)
    assert figure.get_suptitle() == "√(G/M)"
    pictures = shown(figure)
    assert list(pictures) == ["conv1_1, 4 × 4", "relu3_1, 6 × 6"]
    for G, layer in zip(pictures.values(), layers, strict=True):
        F = losses.feature_matrix(NETWORK.features(IMAGE, layer)[layer])
        order = np.argsort(-(F**2).sum(axis=1))
        assert np.allclose(G**2, F[order] @ F[order].T / F.shape[1])


def test_tiles_are_in_rows_of_four():
    for count, shape in ((1, (1, 1)), (3, (1, 3)), (4, (1, 4)), (5, (2, 4)), (8, (2, 4)), (9, (3, 4))):
        figure = plots.features(small_vgg(widths=(9, 5, 6, 7, 8), last="conv1_1"), IMAGE, "conv1_1", count=count)
        assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == shape
        assert len(shown(figure)) == count and not any(axes.axison for axes in figure.axes)
        width, height = figure.get_size_inches()
        assert width == 3 * shape[1] and height == pytest.approx(shape[0] * (3 * 24 / 32 + 0.35) + 0.4)


def test_brightness_runs_from_0_to_the_brightest_but_outliers():
    axes = plots.features(small_vgg(last="conv1_1", bias=9.0), IMAGE, "conv1_1", count=1).axes[0]
    assert axes.images[0].get_array().min() > 0
    assert axes.images[0].get_clim() == (0, np.percentile(np.asarray(axes.images[0].get_array()), 99.5))
    assert axes.images[0].get_cmap().name == "gray"
    assert plots.gram_matrices(NETWORK, IMAGE, "conv1_1").axes[0].images[0].get_cmap().name == "viridis"


def test_gradients_are_those_of_every_loss_layer():
    objective = Objective.from_images(
        NETWORK, IMAGE, picture(2, 30, 30), content_layers=["conv2_2"], style_layers=["conv1_1"]
    )
    x = picture(3, 24, 32)
    _, gradient, _ = objective(x)
    pictures = shown(plots.gradients(objective, x))
    assert [title.split(":")[0] for title in pictures] == ["the image", "pixels", "conv1_1", "conv2_2"]
    assert np.allclose(list(pictures.values())[1], np.linalg.norm(gradient, axis=2))
    # The deepest loss layer has its own gradient only: α v (F − P).
    a, P = NETWORK.features(x, "conv2_2")["conv2_2"], NETWORK.features(IMAGE, "conv2_2")["conv2_2"]
    assert np.allclose(objective.layer_gradients(x)["conv2_2"], (a - P) / a.size)
    assert np.allclose(list(pictures.values())[3], np.linalg.norm((a - P) / a.size, axis=2))


def test_the_image_beside_its_gradients_is_clipped():
    objective = Objective.from_images(NETWORK, IMAGE, IMAGE, content_layers=["conv1_1"], style_layers=[])
    x = 3 * IMAGE - 1
    figure = plots.gradients(objective, x)
    assert np.array_equal(shown(figure)["the image"], np.clip(x, 0, 1))
    assert figure.get_suptitle() == f"dL/da, L = {objective(x)[0]:.4g}"


def test_equals_are_in_order():
    network = small_vgg(widths=(20, 5, 6, 7, 8), last="conv1_1", bias=-100.0)  # no filter responds
    titles = list(shown(plots.features(network, IMAGE, "conv1_1", count=20)))
    assert titles == [f"conv1_1, filter {k}" for k in range(20)]


HISTORY = [
    {"total": 5.0 / n, "content": 0.0, "style": 3.0 / n, "conv1_1": 1.0 / n, "tv": 2.0 - n, "size": size}
    for n, size in ((1, 9), (2, 18), (4, 18))
]


def test_losses_show_every_term_that_is_not_0():
    (axes,) = plots.losses(HISTORY).axes
    lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert {name: list(line.get_ydata()) for name, line in lines.items()} == {
        "total": [5, 2.5, 1.25],
        "style": [3, 1.5, 0.75],
        "conv1_1": [1, 0.5, 0.25],
        "tv": [1, pytest.approx(np.nan, nan_ok=True), pytest.approx(np.nan, nan_ok=True)],  # no logarithm
    }
    widths = {name: line.get_linewidth() for name, line in lines.items()}
    assert widths["total"] == widths["style"] == widths["tv"] > widths["conv1_1"]
    assert axes.get_yscale() == "log" and axes.get_xlabel() == "step" and axes.get_ylabel() == "weighted loss"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(lines)


def test_a_dotted_line_marks_a_new_size():
    (axes,) = plots.losses(HISTORY).axes
    (mark,) = [line for line in axes.lines if line.get_label().startswith("_")]
    assert list(mark.get_xdata()) == [1, 1] and mark.get_linestyle() == ":"


def test_losses_of_one_step():
    (axes,) = plots.losses([{"total": 2.0, "content": 1.0, "size": 9}]).axes
    assert [(line.get_label(), list(line.get_ydata())) for line in axes.lines] == [("total", [2]), ("content", [1])]
    assert axes.lines[0].get_linewidth() == axes.lines[1].get_linewidth()


def test_no_losses():
    (axes,) = plots.losses([]).axes
    assert not axes.lines and axes.get_legend() is None


def test_losses_as_a_table(tmp_path):
    for name in ("losses.csv", "losses.CSV"):
        plots.save_losses(HISTORY, tmp_path / name)
        with open(tmp_path / name, newline="") as file:
            rows = list(csv.DictReader(file))
        assert [{term: float(value) for term, value in row.items()} for row in rows] == HISTORY
    assert (tmp_path / "losses.csv").read_bytes().startswith(b"total,content,style,conv1_1,tv,size\r\n5.0,0.0,")
    plots.save_losses(HISTORY[:1], tmp_path / "one.csv")
    assert len((tmp_path / "one.csv").read_text().split()) == 2
    plots.save_losses([], str(tmp_path / "empty.csv"))
    assert (tmp_path / "empty.csv").read_text().strip() == ""


def test_losses_as_a_plot(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "losses", lambda history: drawn.append(history) or Figure(figsize=(2, 1), dpi=50))
    plots.save_losses(HISTORY, tmp_path / "losses.png")
    assert drawn == [HISTORY] and size_of(tmp_path / "losses.png") == (100, 50)


@pytest.mark.parametrize("suffix, beginning", [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_figures_are_written_whole(tmp_path, suffix, beginning):
    path = tmp_path / f"a{suffix}"
    plots.save(Figure(), path)
    assert path.read_bytes().startswith(beginning) and list(tmp_path.iterdir()) == [path]


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match="unknown layer 'conv9_1'; did you mean conv"):
        plots.features(NETWORK, IMAGE, "conv9_1")
    for draw in (plots.features, plots.gram_matrices):
        with pytest.raises(ValueError, match="at least one layer is needed"):
            draw(NETWORK, IMAGE, [])
    with pytest.raises(ValueError, match="count must be a whole number of at least 1, found 0"):
        plots.features(NETWORK, IMAGE, "conv1_1", count=0)
    with pytest.raises(ValueError, match=r"one of .png, .svg, .pdf, found '.jpg'"):
        plots.save(Figure(), tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"one of .csv, .png, .svg, .pdf, found '.jpg'"):
        plots.save_losses(HISTORY, tmp_path / "a.jpg")
