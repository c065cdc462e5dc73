"""One picture for each thing that `transfer` and its relatives do."""

import tempfile
from pathlib import Path

import numpy as np
import sheet
from PIL import Image

from nst_numpy import load_weights, reconstruct, samples, sweep, texture, transfer

options = sheet.options(__doc__)
network = load_weights(options.weights, padding="replicate")
content, style, other = samples.portrait(), samples.swirling_night(), samples.woodcut_waves()
settings = {"weights": network, "size": options.size, "progress": False}
height, width = transfer(content, style, **settings | {"steps": 0}).image.shape[:2]
row, column = np.mgrid[:height, :width] / height
left = (column < width / height / 2).astype(float)
face = np.exp(-((((row - 0.4) / 0.3) ** 2 + ((column - 0.43) / 0.26) ** 2) ** 2))
veil = np.dstack([np.asarray(content.resize((width, height))), (255 * face).astype(np.uint8)])

plain = transfer(content, style, **settings)
circular = {"weights": load_weights(options.weights, padding="circular"), "size": options.size // 2}
tile = texture(other, **settings | circular)
clear = transfer(Image.fromarray(veil), other, **settings)
ground = np.indices((height, width)).sum(0)[..., None] // 12 % 2 * 40 + 190  # chequered, below what is transparent
opacity = clear.opacity[..., None]
tiles = transfer(content, style, **settings, tile=128)
with tempfile.TemporaryDirectory() as folder:
    for name, picture in (("portrait", content), ("night", style), ("waves", other)):
        picture.save(Path(folder, f"{name}.png"))
    styles = [f"{folder}/night.png", f"{folder}/waves.png"]
    grid = {"style_weight": [20, 500]}
    sweep(f"{folder}/portrait.png", styles, folder, grid=grid, size=128, progress=False, workers=1)
    contact_sheet = Image.open(Path(folder, "sheet.png")).convert("RGB")

sheet.show(
    options.folder / "capabilities.jpg",
    {
        "": {
            "transfer": plain.image,
            "two styles": transfer(content, [style, other], **settings).image,
            "its own colors": transfer(content, style, keep_colors="luminance", **settings).image,
            "regions": transfer(content, [style, other], content_masks=[left, 1 - left], **settings).image,
            "content in a mask": transfer(content, style, content_mask=face, style_weight=300, **settings).image,
        },
        " ": {
            "transparent content": (opacity * clear.image + (1 - opacity) * ground).astype(np.uint8),
            "in tiles of 128": tiles.image,
            "texture that tiles, 2 × 2": np.tile(tile.image, (2, 2, 1)),
            "from features of conv3_1": reconstruct(content, "conv3_1", **settings).image,
            "a sweep": contact_sheet,
        },
    },
)
