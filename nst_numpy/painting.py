"""From images and settings to a picture: what is loaded, what is minimised at each size, and what is recorded."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
from tqdm.auto import tqdm

import nst_numpy
from nst_numpy import colors, images, masks, memory, records
from nst_numpy import weights as weight_files
from nst_numpy.checkpoints import Checkpoint, Saved, checksum
from nst_numpy.console import console
from nst_numpy.conventions import Convention
from nst_numpy.conventions.convention import StyleGram, StyleGrams, style_grams
from nst_numpy.network import VGG
from nst_numpy.objective import Objective, Term
from nst_numpy.preconditioner import precondition
from nst_numpy.result import TransferResult
from nst_numpy.run import Losses, Outcome, Position, Stage, run
from nst_numpy.settings import Settings, Weights
from nst_numpy.signals import interruptible
from nst_numpy.topology import reduction
from nst_numpy.validation import check_number, checked, warn

# Of the shorter side of a style image: left out at each edge. Scans of paintings show their frame or mount there, which
# would be painted at the edges of the picture.
FRAME = 0.03

CHECKPOINT_EVERY = 30.0  # seconds
TILE = 1024  # pixels; for an executor

Callback = Callable[[int, np.ndarray, Losses], None]
Terms = Callable[[tuple[int, ...]], Sequence[Term]]


@checked()
def paint(
    content: Any,
    style: Any,
    settings: Settings,
    *,
    content_masks: Any = None,
    style_masks: Any = None,
    content_mask: Any = None,
    every: int = 0,
    callback: Callback | None = None,
    progress: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = CHECKPOINT_EVERY,
    tile: int | list[int | None] | None = None,
    executor: Executor | None = None,
    terms: Terms | None = None,
    style_grams: StyleGrams = style_grams,
    points: Callback | None = None,
) -> TransferResult:
    """Paint with settings given as one object; `transfer`, `texture` and `reconstruct` call it.

    Parameters
    ----------
    content, style, content_masks, style_masks, content_mask, every, callback, progress
        As in `transfer`.
    checkpoint, checkpoint_every, tile, executor
        As in `transfer`; `tile` can also be a list, one for each size.
    settings : Settings
    terms : callable, optional
        `terms(shape)` returns further terms of the objective, for a picture of this shape (H, W, 3); see
        `objective.Term`. A checkpoint can't keep them.
    style_grams : callable
        What computes the Gram matrices of the styles: a `GramCache` computes each once for many pictures.
    points : callable, optional
        Called like `callback`, but with what is minimised, the argument of the objective: if only the luminance is
        painted, the colors have not been put back. It must not be changed.

    Returns
    -------
    TransferResult

    Raises
    ------
    FileNotFoundError, TypeError, ValueError, KeyboardInterrupt
        As `transfer`; ValueError if there are a checkpoint and further terms.

    Examples
    --------
    >>> from nst_numpy import Settings, paint, samples
    >>> settings = Settings(size=(48,), steps=2)
    >>> paint(samples.portrait(), samples.woodcut_waves(64), settings, progress=False).settings is settings
    True
    """
    check_number("every", every, whole=True)
    for one in tile if isinstance(tile, list) else [tile]:
        if one is not None:
            check_number("tile", one, whole=True, least=1)
    if terms and checkpoint is not None:
        raise ValueError("a checkpoint cannot keep terms of your own: leave out one of them")
    with interruptible():  # so that a second Ctrl-C does not lose the picture that the first one kept
        given = {"content_masks": content_masks, "style_masks": style_masks, "content_mask": content_mask}
        motif = Motif(content, style, settings, **given)
        sizes = settings.sizes(*motif.content.shape[:2])
        steps = settings.steps * (len(sizes) if len(settings.steps) == 1 else 1)
        file = None if checkpoint is None else Checkpoint(checkpoint, checkpoint_every)
        end = file.read() if file else Saved()
        asked = tile if isinstance(tile, list) else [tile] * len(sizes)
        if len(asked) != len(sizes):
            raise ValueError(f"one tile for each of the {len(sizes)} sizes was expected, found {len(asked)}")
        if file and file.settings and tile is None and executor is None:  # those of the run, whatever the memory is now
            tiles = [file.settings.get(f"tile at size {size}") for size in sizes]
        else:  # refuses what does not fit the memory
            tiles = [motif.tile_at(size, one, executor) for size, one in zip(sizes, asked, strict=True)]
        start = motif.start(motif.content_at(sizes[0]).shape)
        inputs = motif.sources | given
        record = records.record(settings, motif.network, inputs)  # now: a file can change before the end
        if any(tiles):
            record["tile"] = tiles

        def painted(saved: Saved, save: Callable[[Saved], None] | None = None) -> Saved:
            """Paint, from the beginning or from what is saved, to the end."""
            position = saved.at if isinstance(saved.at, Position) else None
            todo = list(zip(sizes, steps, tiles, strict=True))[position.stage if position else 0 :]
            stages = (motif.stage(*one, executor, terms, style_grams) for one in todo)
            first = next(stages)  # errors in the input are raised before the progress bar appears
            with Recorder(motif, sizes, steps, every, callback, progress, saved, points) as record:

                def note(position: Position) -> None:
                    if save:
                        save(Saved(position, list(record.history), list(record.frames)))

                outcome = run(
                    chain([first], stages),
                    start,
                    motif.resized,
                    record,
                    settings.optimizer,
                    bounds=(0, 1) if settings.convention.bounded else None,
                    position=position,
                    save=note if save else None,
                    **({"precondition": precondition} if settings.optimizer == "lbfgs" else {}),
                    **settings.optimizer_options,
                )
            return Saved(outcome, record.history, record.frames)

        if file is None:
            end = painted(end)
        else:
            with file:
                file.check(motif.settings_with(every, dict(zip(sizes, tiles, strict=True))), motif.inputs(start))
                at = end.at.state.point if isinstance(end.at, Position) else end.at
                if at and (at.x.ndim != 3 or at.x.shape[2] != 3):
                    raise ValueError(f"{file.path} holds no picture but an array {at.x.shape}; delete it to begin anew")
                if progress and end.at:
                    where = "finished" if isinstance(end.at, Outcome) else "going on"
                    tqdm.write(f"{file.path}: {where} after step {end.at.steps} of {sum(steps)}", file=console)
                if not isinstance(end.at, Outcome):
                    end = painted(end, file.save)
                    file.save(end)
        outcome = end.at
        assert isinstance(outcome, Outcome)
        message = outcome.message
        if not outcome.complete:
            message += f"; this is the best picture so far, after step {outcome.steps} of {sum(steps)}"
            warn(message, always_go_on=True)  # else the picture were lost
        picture = motif.finished(_resized(outcome.x, motif.content.shape))
        return TransferResult(
            picture.clip(0, 1).astype(np.float32, copy=False),
            end.history,
            message,
            outcome.complete,
            settings,
            end.frames,
            motif.opacity(*picture.shape[:2]),
            record | {"complete": outcome.complete},
            records.files({**inputs, "init": settings.init}),
        )


def _within_frame(image: np.ndarray) -> np.ndarray:
    """What is used of a style image, or of its mask: all but `FRAME`."""
    (height, width), margin = image.shape[:2], round(FRAME * min(image.shape[:2]))
    return image[margin : height - margin, margin : width - margin]


def _resized(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return x if x.shape == shape else images.load(x.clip(0, 1), shape=(shape[0], shape[1]))


class GramCache:
    """The Gram matrices of style images, computed once for all paintings that share the cache.

    They are found again by all they depend on: the network, the layers, and the pixels of images and masks. The latest
    are kept.

    Parameters
    ----------
    most : int
        How many sets are kept; a painting has one for each of its sizes.

    Examples
    --------
    >>> from nst_numpy import Settings, load_weights, paint, samples
    >>> settings = Settings(size=(48,), steps=1, weights=load_weights("vgg19-mini"))
    >>> cache = GramCache()
    >>> for content in (samples.portrait(), samples.swirling_night(64)):
    ...     _ = paint(content, samples.woodcut_waves(64), settings, progress=False, style_grams=cache)
    >>> len(cache)
    1
    """

    def __init__(self, most: int = 16):
        self._most, self._found = most, dict[Any, list[dict[str, StyleGram]]]()

    def __len__(self) -> int:
        return len(self._found)

    def __call__(
        self,
        network: VGG,
        images: Sequence[np.ndarray],
        layers: Iterable[str],
        parts: Sequence[np.ndarray | None] | None = None,
        tile: int | None = None,
    ) -> list[dict[str, StyleGram]]:
        """As `conventions.convention.style_grams`."""
        layers = tuple(layers)
        key = network, layers, tile, checksum([images, parts])
        found = self._found.pop(key, None) or list(style_grams(network, images, layers, parts, tile))
        self._found[key] = found  # as the latest
        for oldest in list(self._found)[: -self._most]:
            self._found.pop(oldest, None)  # another thread may have done so
        return found


class Motif:
    """The images of a painting, in the colors in which they are painted, their masks, and the network."""

    def __init__(
        self,
        content: Any,
        style: Any,
        settings: Settings,
        *,
        content_masks: Any = None,
        style_masks: Any = None,
        content_mask: Any = None,
    ):
        self.settings = settings
        self.content, self._opacity = _load("content", content, settings.largest)
        self.original = self.content
        sources = list(style) if isinstance(style, list | tuple) else [style]
        of_content = masks.one_each("content_masks", content_masks, len(sources))
        of_styles = masks.one_each("style_masks", style_masks, len(sources))
        self._in_regions = content_masks is not None
        self.regions = [masks.of_image(*mask, self.content) for mask in of_content]
        self.kept = masks.of_image("content_mask", content_mask, self.content)
        if not sources:
            raise ValueError("at least one style image is needed")
        self.sources: dict[str, Any] = {"content": content, "style": sources}
        if content is sources[0]:
            if settings.content_layers in ((), {}):  # a texture
                self.sources.pop("content")
                self._opacity = None
            if settings.style_layers in ((), {}):  # a reconstruction
                self.sources.pop("style")
        self.styles, self.parts = [], []
        for source, (name, mask) in zip(sources, of_styles, strict=True):
            image, _ = _load("style", source)
            self.styles.append(self._style(image))
            part = masks.of_image(name, mask, image)
            if part is not None:
                part = masks.scaled(_within_frame(part), self.styles[-1].shape)
                if not part.any():
                    raise ValueError(f"{name}: its region is in the edges of the image, {FRAME:.0%}, that are left out")
            self.parts.append(part)
        for k, (part, region) in enumerate(zip(self.parts, self.regions, strict=True)):
            if settings.keep_colors == "statistics":
                weights = {"style_mask": part, "content_mask": region}
                self.styles[k] = colors.match_colors(self.styles[k], self.content, **weights)
            elif settings.keep_colors == "luminance":
                self.styles[k] = colors.luminance(self.styles[k], like=self.content, mask=part, like_mask=region)
        if settings.keep_colors == "luminance":
            self.content = colors.luminance(self.content)
        self.network = load_network(settings.weights, settings.convention)
        self._check_scale()
        self.original, self.content = self._whole(self.original), self._whole(self.content)
        self._original_at = cache(lambda height, width: images.load(self.original, shape=(height, width)))

    def _check_scale(self) -> None:
        """Warn if the weights of another system meet features that they are not meant for."""
        system, settings = self.settings.convention, self.settings
        usual = (settings.content_weight, settings.style_weight) == (system.content_weight, system.style_weight)
        if usual and not system.normalize and self.network.name == "vgg19-mini":
            warn(
                f"the weights of {system.name} are meant for VGG-19 as published, whose responses are 30 to 340 times "
                'those of the included network: take weights="vgg19", or other style and content weights'
            )

    def _style_size(self, size: int) -> int:
        return max(1, round(self.settings.style_scale * size))

    def _style(self, image: np.ndarray) -> np.ndarray:
        size = self._style_size(self.settings.largest)
        if 2 * max(image.shape) < size:
            height, width = image.shape[:2]
            warn(
                f"the style image of {width}×{height} pixels is enlarged {size / max(height, width):.1f} times: its "
                "strokes will be blurred; a larger image, or a smaller style_scale, gives sharper ones"
            )
        return images.load(_within_frame(image), size)

    def opacity(self, height: int, width: int) -> np.ndarray | None:
        """The opacity of the content image at the size of the picture; None if it has no transparent areas."""
        return None if self._opacity is None else images.resize(self._opacity, height, width)

    def settings_with(self, every: int, tiles: dict[int, int | None]) -> dict[str, Any]:
        """All names and numbers that the result depends on, for a checkpoint. The number of threads changes nothing."""
        network = self.network
        described = self.settings.to_dict() | {
            "pooling": network.pooling,
            "padding": network.padding,
            "backend": network.backend_name,
            "dtype": str(network.dtype),
            "init": self.settings.named_start or "an image",
            "every": every,
            "nst_numpy": nst_numpy.__version__,
        }
        del described["weights"]  # the arrays count, not the name of the file
        return described | {f"tile at size {size}": tile for size, tile in tiles.items() if tile}

    def inputs(self, start: np.ndarray) -> dict[str, Any]:
        """All arrays that the result depends on, by what they are called, for a checkpoint."""
        settings, network = self.settings, self.network
        found: dict[str, Any] = {}
        if settings.content_layers not in ((), {}) or settings.keep_colors:
            found["content image"] = self.original
        if settings.style_layers not in ((), {}):
            found["style image"] = self.styles
        found["mask of a style image"] = self.parts
        found["mask of a region"] = [self._in_regions, *self.regions]
        found["content mask"] = self.kept
        found["network"] = [network.convolutions, network.mean, network.scale]
        found["convention"] = settings.convention.described()
        return found | {"start image": start}

    def content_at(self, size: int) -> np.ndarray:
        """The content image at one size."""
        return self._whole(images.load(self.content, size))

    def tile_at(self, size: int, tile: int | None = None, executor: Executor | None = None) -> int | None:
        """The tile at one size, None for none: the given one, or the largest that fits the memory."""
        shape = self._shape_at(size)
        if tile is not None or executor is not None:
            tile = tile or TILE
            return tile if max(shape) > tile else None
        return memory.choose(*self._memory_arguments(shape))

    def memory_at(self, size: int, tile: int | None = None) -> int:
        """The memory that the painting needs at one size, in bytes; an estimate."""
        network, layers, shape, *others = self._memory_arguments(self._shape_at(size))
        return memory.needed(network, layers, shape, tile, *others)

    def _shape_at(self, size: int) -> tuple[int, int]:
        height, width = self.content.shape[:2]
        return max(1, round(height * size / max(height, width))), max(1, round(width * size / max(height, width)))

    def _memory_arguments(self, shape: tuple[int, int]) -> tuple[Any, ...]:
        """What `memory.choose` asks for, for a picture of this shape."""
        settings, network = self.settings, self.network
        v = settings.convention.weighted_layers("content", settings.content_layers, network)
        w = settings.convention.weighted_layers("style", settings.style_layers, network)
        scale = [self._style_size(max(shape)) / max(image.shape) for image in self.styles]
        styles = [(round(s * i.shape[0]), round(s * i.shape[1])) for s, i in zip(scale, self.styles, strict=True)]
        return network, [*v, *w], shape, settings.optimizer, settings.optimizer_options, styles

    def stage(
        self,
        size: int,
        steps: int,
        tile: int | None = None,
        executor: Executor | None = None,
        terms: Terms | None = None,
        style_grams: StyleGrams = style_grams,
    ) -> Stage:
        """What is minimised at one size, with the targets computed."""
        settings, content = self.settings, self.content_at(size)
        objective = Objective.from_images(
            self.network,
            content,
            [images.load(image, self._style_size(size)) for image in self.styles],
            content_layers=settings.content_layers,
            style_layers=settings.style_layers,
            content_weight=settings.content_weight,
            style_weight=settings.style_weight,
            tv_weight=settings.tv_weight,
            style_blend=settings.style_blend,
            convention=settings.convention,
            content_masks=[_at(t, content) for t in self.regions] if self._in_regions else None,
            style_masks=self.parts,
            content_mask=_at(self.kept, content),
            tile=tile,
            executor=executor,
            style_grams=style_grams,
            further=terms(content.shape) if terms else (),
        )
        return Stage(objective, content.shape, steps)

    def _whole(self, image: np.ndarray) -> np.ndarray:
        """The image; for a circular network, of the nearest size of which pooling leaves out no row or column."""
        if self.network.padding != "circular":
            return image
        step = reduction(self.network.layers[-1])
        height, width = (max(step, round(side / step) * step) for side in image.shape[:2])
        return images.load(image, shape=(height, width))

    def resized(self, x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The picture at another size, to go on from.

        If it began as the content image, with what that shows only at the other size: strokes are refined on its
        details instead of on a blur.
        """
        found = self._scaled(x, shape)
        if self.settings.named_start == "content":
            smaller, larger = _resized(self.content, x.shape), _resized(self.content, shape)
            found = (found + larger - self._scaled(smaller, shape)).clip(0, 1)
        return found

    def _scaled(self, x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """An image at another size; for a circular network, as part of the pattern that it tiles."""
        if self.network.padding != "circular":
            return _resized(x, shape)
        height, width = shape[:2]
        return _resized(np.tile(x, (3, 3, 1)), (3 * height, 3 * width, 3))[height : 2 * height, width : 2 * width]

    def start(self, shape: tuple[int, ...]) -> np.ndarray:
        """The picture to start from, with its fraction of white noise."""
        named, noise = self.settings.named_start, self.settings.init_noise
        if named == "noise":
            named, noise = "gray", 1.0
        if named == "gray":
            picture = np.full(shape, 0.5, np.float32)
        elif named:
            picture = _resized({"content": self.content, "style": self.styles[0]}[named], shape)
        else:
            picture, _ = _load("init", self.settings.init, shape=(shape[0], shape[1]))
        if noise:
            rng, deviation = np.random.default_rng(self.settings.seed), self.settings.convention.noise
            if deviation is None:
                white = rng.random(shape, dtype=np.float32)
            else:
                white = (self.network.mean / 255 + deviation * rng.standard_normal(shape)).astype(np.float32)
            picture = np.float32(1 - noise) * picture + np.float32(noise) * white
        return colors.luminance(picture) if self.settings.keep_colors == "luminance" else picture

    def finished(self, x: np.ndarray) -> np.ndarray:
        """The picture as shown: with the colors of the photograph, if they are kept. Not clipped.

        If only the luminance is painted, bounds keep that in 0–1. A pixel can still be outside: where the photograph's
        color leaves no room for the new luminance. Red, (1, 0, 0), has room for none but its own.
        """
        if self.settings.keep_colors != "luminance":
            return x
        return colors.with_luminance(self._original_at(*x.shape[:2]), x)


def work_done(sizes: Sequence[int], steps: Sequence[int]) -> np.ndarray:
    """The work done after each step, in steps at full size, to estimate the remaining time: it grows with the area.

    Examples
    --------
    >>> work_done([32, 64], [2, 1])
    array([0.  , 0.25, 0.5 , 1.5 ])
    """
    costs = [cost for size, n in zip(sizes, steps, strict=True) for cost in [(size / sizes[-1]) ** 2] * n]
    return np.cumsum([0.0, *costs])


class Recorder:
    """Records a run: the history, the frames, the progress bar, and the user's callbacks."""

    def __init__(
        self,
        motif: Motif,
        sizes: list[int],
        steps: tuple[int, ...],
        every: int,
        callback: Callback | None,
        progress: bool,
        saved: Saved | None = None,
        points: Callback | None = None,
    ):
        saved, self._points = saved or Saved(), points
        self.history, self.frames = list(saved.history), list(saved.frames)
        self._last = saved.at.steps if saved.at else -1
        self._motif, self._every, self._callback, self._total = motif, every, callback, sum(steps)
        self._work = work_done(sizes, steps)
        form = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
        initial = self._work[max(self._last, 0)]
        self._bar = tqdm(total=self._work[-1], initial=initial, disable=not progress, bar_format=form, file=console)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def __call__(self, step: int, x: np.ndarray, losses: Losses) -> None:
        """Record a step; the `record` argument of `run`."""
        repeated = step == self._last  # a new size begins, with the picture of the last step scaled up
        losses = {**losses, "size": max(x.shape)}
        self.history.append(losses)
        shown = {name: f"{losses[name]:.3g}" for name in ("total", "content", "style", "tv")}
        self._bar.set_postfix({"step": f"{step}/{self._total}", "size": losses["size"], **shown}, refresh=False)
        self._bar.update(self._work[step] - self._bar.n)
        keep = bool(self._every) and step % self._every == 0 and not repeated
        self._last = step
        image = self._motif.finished(x) if keep or self._callback else x
        if keep:
            self.frames.append(images.to_uint8(image))
        if self._callback:
            self._callback(step, image, losses)
        if self._points:
            self._points(step, x, losses)


def _load(
    what: str, source: Any, size: int | None = None, shape: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        return images.load_with_opacity(source, size, shape=shape)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{what} image: {error}") from None


def load_network(weights: Weights, convention: Convention, **network: Any) -> VGG:
    """The network of these weights; a file is loaded with the convention's pooling, padding and normalisation.

    `network` are the arguments of `weights.load` that were given instead.
    """
    if isinstance(weights, VGG):
        return weights
    return weight_files.load(weights, **network_options(convention, **network))


def network_options(convention: Convention, **given: Any) -> dict[str, Any]:
    """The arguments of `weights.load`: pooling, padding and normalisation of a convention, unless others are given."""
    usual = {"pooling": convention.pooling, "padding": convention.padding, "normalize": convention.normalize}
    return {**usual, **given}


def _at(mask: np.ndarray | None, image: np.ndarray) -> np.ndarray | None:
    """A mask at the size of an image."""
    return None if mask is None else masks.scaled(mask, image.shape)
