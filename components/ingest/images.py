"""FER-2013 as an image folder, and any `<split>/<class>/*` folder, gray or colour, of any size.

Where the file name tells the split (`PublicTest_00012345.jpg`), it wins over the folder, as Kaggle's folder needs.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.ingest.names import CLASS_NAMES, SPLIT_NAMES, UNSPLIT
from components.ingest.records import Faces, Report
from components.ingest.resize import fit, keep_rows, pixel_file
from components.labels import CLASSES, SPLITS

IGNORED = ("thumbs.db", "desktop.ini")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm")
BATCH = 256  # images a thread decodes between two reports of progress


@dataclass
class Listing:
    """Image files that have a class and a split, and the others."""

    files: list[Path] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)


def read_images(folder: Path, size: int, scratch: Path, report: Report) -> Faces:
    """Every readable image below a folder, in the order of paths; pixels are held in a file in `scratch`."""
    found = _list(folder)
    names = [path.relative_to(folder).as_posix() for path in found.files]
    images = pixel_file(scratch, len(names), size)
    reasons = _decode(found.files, images, report)
    good = np.setdiff1d(np.arange(len(names)), list(reasons))
    return Faces(
        images if len(good) == len(names) else keep_rows(images, good),
        np.array(found.labels, np.int64)[good],
        np.array(found.splits, np.str_)[good],
        [names[i] for i in good],
        found.bad + [f"{names[i]}: {reason}" for i, reason in sorted(reasons.items())],
    )


def _list(folder: Path) -> Listing:
    found = Listing()
    top = _top(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _ignored(path.relative_to(folder)))
    told = {path: _split(path, top) for path in files}
    divided = any(told.values())  # some splits are named, so classes at the top have none
    for path, split in told.items():
        label = CLASS_NAMES.get(path.parent.name.casefold())
        if label is None and path.suffix.casefold() not in IMAGE_SUFFIXES:
            continue  # a read-me, a licence or a table beside the images
        if label is None:
            found.bad.append(
                f"{path.relative_to(folder).as_posix()}: unknown class {path.parent.name!r}; "
                f"it is one of {', '.join(CLASSES)}"
            )
        elif split is None or (split == UNSPLIT and divided):
            found.bad.append(f"{path.relative_to(folder).as_posix()}: unknown split {path.parent.parent.name!r}")
        else:
            found.files.append(path)
            found.labels.append(label)
            found.splits.append(split)
    return found


def _top(folder: Path) -> Path:
    """Below folders that hold a single folder and nothing else, as archives have them."""
    inside = [path for path in folder.iterdir() if not _ignored(Path(path.name))]
    names = (CLASS_NAMES, SPLIT_NAMES)
    if len(inside) == 1 and inside[0].is_dir() and not any(inside[0].name.casefold() in known for known in names):
        return _top(inside[0])
    return folder


def _ignored(name: Path) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.parts)
    return hidden or name.name.casefold() in IGNORED


def _split(path: Path, top: Path) -> str | None:
    """From the file name, else from the folder above the class; UNSPLIT where classes lie at the top."""
    told = SPLIT_NAMES.get(path.name.split("_")[0].casefold())
    if told in SPLITS and "_" in path.name:
        return told
    above = path.parent.parent
    if above == top or above in top.parents:
        return UNSPLIT
    return SPLIT_NAMES.get(above.name.casefold())


def _decode(files: Sequence[Path], images: npt.NDArray[np.uint8], report: Report) -> dict[int, str]:
    """Fill images [N, size, size] from files; why some are none."""
    size = images.shape[1]
    wrong: dict[int, str] = {}

    def load(start: int) -> int:
        stop = min(start + BATCH, len(files))
        for i in range(start, stop):
            try:
                images[i] = np.asarray(_gray(files[i], size))
            except Exception as error:  # decoders raise nearly anything on a damaged file
                wrong[i] = f"is no readable image ({type(error).__name__})"
        return stop

    report("images", 0, len(files))
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter's lock
        for done in pool.map(load, range(0, len(files), BATCH)):
            report("images", done, len(files))
    return wrong


def _gray(path: Path, size: int) -> Image.Image:
    with Image.open(path) as image:
        if image.mode.startswith("I;16"):  # Pillow clips these to 255 instead of scaling
            return fit(Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)), size)
        return fit(image.convert("L"), size)
