"""FER-2013 as an image folder, and any `<split>/<class>/*` folder, gray or colour, of any size.

Where the file name tells the split (`PublicTest_00012345.jpg`), it wins over the folder, as Kaggle's folder needs.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from components.ingest.records import TEST, UNSPLIT, Faces, Report
from components.labels import CLASSES, PRIVATE_TEST, PUBLIC_TEST, SPLITS, TRAINING

CLASS_NAMES = {
    **{name: i for i, name in enumerate(CLASSES)},
    "anger": 0, "disgusted": 1, "fearful": 2, "happiness": 3, "sadness": 4, "surprised": 5,
}  # fmt: skip
SPLIT_NAMES = {
    **{name.casefold(): name for name in SPLITS},
    "train": TRAINING, "val": PUBLIC_TEST, "valid": PUBLIC_TEST, "validation": PUBLIC_TEST, "test": TEST,
    "public": PUBLIC_TEST, "private": PRIVATE_TEST,
}  # fmt: skip
IGNORED = ("thumbs.db", "desktop.ini")
BATCH = 512  # images decoded between two reports of progress


def read_images(folder: Path, size: int, report: Report) -> Faces:
    """Every readable image below a folder, in the order of paths."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _ignored(path.relative_to(folder)))
    bad, good, labels, splits = [], [], [], []
    for path in files:
        name = path.relative_to(folder).as_posix()
        label, split = CLASS_NAMES.get(path.parent.name.casefold()), _split(path, folder)
        if label is None:
            bad.append(f"{name}: unknown class {path.parent.name!r}; it is one of {', '.join(CLASSES)}")
        elif split is None:
            bad.append(f"{name}: unknown split {path.parent.parent.name!r}")
        else:
            good.append(path)
            labels.append(label)
            splits.append(split)
    images, reasons = _decode(good, size, report)
    bad += [f"{good[i].relative_to(folder).as_posix()}: {reason}" for i, reason in reasons.items()]
    kept = np.setdiff1d(np.arange(len(good)), list(reasons))
    sources = [good[i].relative_to(folder).as_posix() for i in kept]
    return Faces(images[kept], np.array(labels, np.int64)[kept], np.array(splits, np.str_)[kept], sources, bad)


def _ignored(name: Path) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.parts)
    return hidden or name.name.casefold() in IGNORED


def _split(path: Path, folder: Path) -> str | None:
    """From the file name, else from the folder above the class; UNSPLIT where classes lie at the top."""
    told = SPLIT_NAMES.get(path.name.split("_")[0].casefold())
    if told in SPLITS and "_" in path.name:
        return told
    above = path.parent.parent
    if above == folder or above in folder.parents:
        return UNSPLIT
    return SPLIT_NAMES.get(above.name.casefold())


def _decode(files: Sequence[Path], size: int, report: Report) -> tuple[npt.NDArray[np.uint8], dict[int, str]]:
    images = np.zeros((len(files), size, size), np.uint8)
    wrong: dict[int, str] = {}

    def load(i: int) -> None:
        try:
            with Image.open(files[i]) as image:
                gray = image.convert("L")
            images[i] = gray if gray.size == (size, size) else gray.resize((size, size), Image.Resampling.BILINEAR)
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            wrong[i] = f"is no readable image ({type(error).__name__})"

    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter's lock
        for start in range(0, len(files), BATCH):
            list(pool.map(load, range(start, min(start + BATCH, len(files)))))
            report("images", min(start + BATCH, len(files)), len(files))
    return images, dict(sorted(wrong.items()))
