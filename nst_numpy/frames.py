"""Films: every frame painted so that it continues the one before, as in Ruder, Dosovitskiy and Brox 2016.

(arXiv 1604.08610.) The first frame is painted as any picture. Each later one starts from the result before, moved to
its place by the optical flow between the photographs, and has one more term, the temporal loss.
"""

import hashlib
import itertools
import json
import math
import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import nst_numpy
from nst_numpy import colors, films, images, jobs, losses, records
from nst_numpy.checkpoints import checksum
from nst_numpy.console import console
from nst_numpy.flow import Flow, dis, flicker, valid, warp
from nst_numpy.painting import GramCache, load_network, paint
from nst_numpy.settings import Settings
from nst_numpy.signals import Interrupts, interruptible
from nst_numpy.validation import check_choice, check_number, checked, warn

StrPath = str | os.PathLike[str]
FLOWS = ("dis", "none")
TEMPORAL_WEIGHT = 300.0
NEXT_STEPS = 30
CUT = 0.25  # with a smaller part of valid pixels, a frame is the first of another scene
LOSSES = ("total", "content", "style", "tv", "temporal")


@dataclass(frozen=True)
class Frame:
    """One frame of a painted film.

    Attributes
    ----------
    path : Path
        Where the picture is.
    losses : dict of str to float
        At its end: "total", "content", "style", "tv", and "temporal" where there is one.
    flicker : float or None
        How much it differs from the frame before, moved to its place: see `flow.flicker`. None for the first, and
        without a flow.
    seconds : float
        That it took to paint.
    """

    path: Path
    losses: Mapping[str, float]
    flicker: float | None
    seconds: float


@dataclass(frozen=True, eq=False)
class TemporalTerm:
    """Temporal loss of a frame times its weight; a term of an objective.

    Attributes
    ----------
    before : ndarray, shape (H, W, 3)
        The previous frame, warped to this one.
    where : ndarray, shape (H, W)
        c, where it is valid.
    weight : float
    """

    before: np.ndarray = field(repr=False)
    where: np.ndarray = field(repr=False)
    weight: float
    name: str = "temporal"
    layer: None = None

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        before, c = self.before.astype(x.dtype), self.where.astype(x.dtype)
        value = self.weight * losses.temporal_loss(x, before, c)
        return value, self.weight * losses.temporal_gradient(x, before, c)


@checked()
def transfer_frames(
    frames: StrPath,
    style: Any,
    output: StrPath,
    *,
    temporal_weight: float | None = None,
    next_steps: int = NEXT_STEPS,
    flow: str | Flow | None = None,
    fps: float | None = None,
    again: bool = False,
    progress: bool = True,
    **settings: Any,
) -> list[Frame]:
    """Paint a film.

    The first frame is painted with the settings as they are. Each later one starts from the result before, warped to
    it, and from its own content where that is not known; it is painted at full size only.

    Pictures are kept by a hash of all that they depend on, the picture before included, so a run that was interrupted
    goes on with the frame that it was at.

    Parameters
    ----------
    frames : path
        A folder of images, in the order of the numbers in their names, or a video file.
    style : path, PIL image or array, or a list of them
        As in `transfer`.
    output : path
        A folder for the pictures, named as the frames. Or a video, .mp4 or .gif; the pictures are then in a folder of
        the same name.
    temporal_weight : float, optional
        δ, the weight of the temporal loss; 300 by default. With another convention than "nst_numpy", whose weights
        have another scale, it has to be given.
    next_steps : int
        Maximum number of iterations for each frame after the first.
    flow : {"dis", "none"} or callable, optional
        The optical flow: OpenCV's DIS, the default where OpenCV is installed, or a function such as `flow.dis`. With
        "none" each frame is painted on its own, as by `transfer`.
    fps : float, optional
        Frames per second of the video that is written; by default those of the one that is read, 25 for a folder.
    again : bool
        Whether to paint frames that are there.
    progress : bool
    **settings
        Of `transfer`.

    Returns
    -------
    list of Frame

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError, ValueError
        If anything else is wrong with the input, such as frames of several sizes, or a gap in their numbers.
    KeyboardInterrupt
        After Ctrl-C; the frames that are finished are kept.

    Examples
    --------
    A camera that moves 2 pixels to the right with each frame; the flow between frames is known:

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from nst_numpy import images, samples
    >>> photograph = images.to_uint8(images.load(samples.portrait(), 80))
    >>> def known(first, second):
    ...     sign = 1 if np.abs(first[:, 2:] - second[:, :-2]).max() < 1e-6 else -1
    ...     return np.broadcast_to([-2.0 * sign, 0.0], (*first.shape[:2], 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pathlib.Path(folder, "film").mkdir()
    ...     for n in range(3):
    ...         images.save(photograph[:48, 2 * n : 2 * n + 48], f"{folder}/film/{n}.png")
    ...     options = {"size": (48,), "steps": 5, "next_steps": 5, "flow": known, "progress": False}
    ...     painted = transfer_frames(f"{folder}/film", samples.woodcut_waves(64), f"{folder}/out", **options)
    ...     [frame.path.name for frame in painted], painted[0].flicker
    (['0.png', '1.png', '2.png'], None)
    """
    with interruptible() as interrupts:
        job = _Job(Path(frames), style, Path(output), temporal_weight, next_steps, flow, fps, settings)
        return job.run(again, progress, interrupts)


class _Job:
    """A film to be painted: what is checked before the work starts, and what all frames share."""

    def __init__(
        self,
        frames: Path,
        style: Any,
        output: Path,
        temporal_weight: float | None,
        next_steps: int,
        flow: str | Flow | None,
        fps: float | None,
        settings: Mapping[str, Any],
    ):
        for name in settings:
            check_choice("setting", name, signature(Settings).parameters)
        self.settings = Settings(**settings)
        if flow is not None and not callable(flow):
            check_choice("flow", flow, FLOWS, also="a function")
        if temporal_weight is None:
            if flow != "none" and self.settings.convention.name != "nst_numpy":
                raise ValueError(
                    f"the loss weights of {self.settings.convention.name} have a scale of their own: "
                    'temporal_weight must be given, or flow="none"'
                )
            temporal_weight = TEMPORAL_WEIGHT
        check_number("temporal_weight", temporal_weight)
        self.weight, self.steps = temporal_weight, next_steps
        check_number("next_steps", next_steps, whole=True, least=1)
        if fps is not None:
            check_number("fps", fps, least=0.1, most=1000)
        self.folder, self.video = _outputs(frames, output)
        sources = list(style) if isinstance(style, list | tuple) else [style]
        for source in sources:
            if isinstance(source, str | os.PathLike) and frames.resolve() == Path(source).resolve().parent:
                raise ValueError(f"the style image {source} is in the folder of the frames; move it elsewhere")
        self.film = films.read(frames)
        self.fps = fps or self.film.fps
        self.styles = [images.load(source) for source in sources]
        self.paths = [self.folder / f"{name}.png" for name in self.film.names]
        for path in self.paths:
            if path.exists() and not (path.is_file() and images.description(path)):
                raise ValueError(f"{path} exists, and was not painted by this library; choose another folder")
        self.network = load_network(self.settings.weights, self.settings.convention)
        self.cache, self.flow = GramCache(), _flow(flow)

    def run(self, again: bool, progress: bool, interrupts: Interrupts) -> list[Frame]:
        """Paint what is not there yet, one frame after the other."""
        (self.folder / "results").mkdir(parents=True, exist_ok=True)
        for folder in (self.folder, self.folder / "results"):
            images.remove_leftovers(folder, age=-math.inf)
        (shared, later), costs, done = self._shared(), self._costs(), list[Frame]()
        form = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
        with tqdm(total=sum(costs), disable=None if progress else True, bar_format=form, file=console) as bar:
            before: tuple[Any, Path] | None = None  # the frame before, and its picture
            digest = ""  # of this picture
            for path, source, cost in zip(self.paths, self.film.read(), costs, strict=True):
                record = self.folder / "results" / f"{path.stem}.json"
                depends = [shared, _digest(source), *([later, digest] if before else [])]
                key = hashlib.sha256(json.dumps(depends).encode()).hexdigest()
                answer = None if again else jobs.recalled(record, key)
                if answer and path.is_file() and _digest(path) == answer["picture"]:
                    bar.total -= cost
                else:
                    bar.set_postfix({"frame": f"{len(done) + 1}/{len(costs)}"})
                    interrupts.listen()  # a painting that is finished ignores them
                    image, answer = self._painted(source, path, before, bar, cost)
                    images.save(image, path, self.settings.to_json())
                    answer["picture"] = _digest(path)
                    jobs.remember(record, key, answer)
                done.append(Frame(path, answer["losses"], answer["flicker"], answer["seconds"]))
                if self.flow:
                    before, digest = (source, path), answer["picture"]
        if self.video:
            films.write(self.paths, self.video, self.fps)
        return done

    def _shared(self) -> tuple[str, str]:
        """What all frames depend on, and what else those do that follow one."""
        settings, network = self.settings, self.network
        start = None if settings.named_start else images.load(settings.init)
        arrays = [self.styles, network.convolutions, network.mean, network.scale, start]
        of_network = [network.pooling, network.padding, network.backend_name]
        flow = getattr(self.flow, "__qualname__", type(self.flow).__name__)
        described = {**settings.to_dict(), "weights": of_network, "convention": settings.convention.described()}
        shared = json.dumps([nst_numpy.__version__, described, checksum(arrays)])
        return shared, json.dumps([self.weight, self.steps, flow])

    def _costs(self) -> list[float]:
        """The work for each frame, in steps at full size."""
        height, width = images.load(next(self.film.read()), self.settings.largest).shape[:2]
        sizes, steps = self.settings.sizes(height, width), self.settings.steps
        steps *= len(sizes) if len(steps) == 1 else 1
        first = sum(n * (size / sizes[-1]) ** 2 for size, n in zip(sizes, steps, strict=True))
        rest = len(self.paths) - 1
        return [first] + [self.steps if self.flow else first] * rest

    def _painted(
        self, source: Any, path: Path, before: tuple[Any, Path] | None, bar: Any, cost: float
    ) -> tuple[np.ndarray, jobs.Answer]:
        """Paint one frame."""
        began, base, calls = time.perf_counter(), bar.n, itertools.count(1)
        settings, following = replace(self.settings, weights=self.network), self._following(source, before)
        if following:
            init = following.start
            settings = replace(settings, init=init, init_noise=0.0, size=(settings.largest,), steps=(self.steps,))

        def step(*_: Any) -> None:
            bar.update(base + min(next(calls) / (cost + 1), 1) * cost - bar.n)

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "interrupted" if path == self.paths[0] else "")  # the first has said it
            result = paint(
                source,
                self.styles,
                settings,
                callback=step,
                progress=False,
                terms=(lambda shape: [following.term]) if following else None,
                style_grams=self.cache,
            )
        if not result.complete:
            if "interrupted" in result.message:
                raise KeyboardInterrupt(f"interrupted at {path.stem}")
            raise ValueError(f"{path.stem}: {result.message}")
        bar.update(base + cost - bar.n)
        last = result.history[-1]
        return result.image, {
            "losses": {term: float(last[term]) for term in LOSSES if term in last},
            "flicker": following and following.flicker(result.image),
            "seconds": time.perf_counter() - began,
        }

    def _following(self, source: Any, before: tuple[Any, Path] | None) -> "_Following | None":
        """What a frame gets from the one before; None for the first, and after a cut."""
        if before is None or self.flow is None:
            return None
        then = images.load(before[1])
        height, width = then.shape[:2]
        content, content_before = (images.load(frame, shape=(height, width)) for frame in (source, before[0]))
        backward = self.flow(content, content_before)
        where = valid(self.flow(content_before, content), backward)
        if np.mean(where) < CUT:
            return None
        warped = warp(then, backward)
        start = np.where(where[..., None], warped, content)
        if self.settings.keep_colors == "luminance":
            warped = colors.luminance(warped)
        return _Following(start, TemporalTerm(warped, where, self.weight), then, backward)


@dataclass(frozen=True, eq=False)
class _Following:
    """What a frame gets from the one before: the start, and a term; with that picture, and the flow to it."""

    start: np.ndarray
    term: TemporalTerm
    before: np.ndarray
    backward: np.ndarray

    def flicker(self, image: np.ndarray) -> float:
        return flicker(image, self.before, self.backward, self.term.where)


def _flow(flow: str | Flow | None) -> Flow | None:
    """The function of this name; None if each frame is painted on its own."""
    if callable(flow):
        return flow
    if flow is None:
        if find_spec("cv2") is None:
            warn(
                "without OpenCV, each frame is painted on its own, and the film flickers: "
                "pip install 'nst_numpy[video]'"
            )
            return None
        return dis
    if flow == "dis" and find_spec("cv2") is None:
        raise ValueError("the optical flow needs OpenCV: pip install 'nst_numpy[video]'")
    return dis if flow == "dis" else None


def _outputs(frames: Path, output: Path) -> tuple[Path, Path | None]:
    """The folder for the pictures, and the video file, if there is to be one."""
    suffix, video = output.suffix.lower(), None
    if suffix in films.VIDEOS:
        films.check_video(output)
        video = images.check_output(output, films.VIDEOS, inputs=[frames])
        output = output.with_suffix("")
    elif suffix in films.OTHERS and not output.is_dir():
        raise ValueError(f"a film is written to a folder, or as {' or '.join(films.VIDEOS)}, found {output}")
    if output.exists() and not output.is_dir():
        raise ValueError(f"the pictures need a folder, but {output} is a file")
    if frames.is_dir() and frames.resolve() in (output.resolve(), *output.resolve().parents):
        raise ValueError(f"the folder for the pictures, {output}, is in that of the frames; choose another one")
    return output, video


def _digest(source: Any) -> str:
    """SHA-256 of a file, or of an array."""
    return records.digest(source) if isinstance(source, Path) else checksum(source)
