"""How FER-2013's crops lie about a face: `python -m benchmarks.crops FOLDER` (its images, or any folder of face crops).

Each crop is enlarged to 192 pixels, its edges are repeated outwards, and the cascade that serving uses looks for the
face. What is printed is the crop's side over the box's, which is the margin that serving has to add, and the offset of
the box's centre; then the time of a search by size of picture.
"""

import argparse
import random
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.record import machine
from serving.faces import SEARCH_SIDE, find_faces

SIDE, PAD, IMAGES = 192, 96, 1000


def main() -> None:
    """Print shares, quartiles, offset and times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of face crops, searched whole")
    files = sorted(parser.parse_args().folder.rglob("*.jpg"))
    if not files:
        raise SystemExit("no .jpg in that folder")
    ratios, offsets = [], []
    chosen = random.Random(0).sample(files, min(IMAGES, len(files)))
    for file in chosen:
        crop = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        assert crop is not None
        large = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        boxes = find_faces(np.asarray(cv2.copyMakeBorder(large, PAD, PAD, PAD, PAD, cv2.BORDER_REPLICATE), np.uint8))
        if not boxes or boxes[0].width < SIDE / 2:
            continue
        box = boxes[0]
        ratios.append(SIDE / box.width)
        centre = (box.left + box.width / 2, box.top + box.height / 2)
        offsets.append([(value - PAD - SIDE / 2) / box.width for value in centre])
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    across, down = np.median(offsets, 0)
    print(f"found in {len(ratios)} of {len(chosen)} crops")
    print(f"crop over box: median {middle:.3f}, quartiles {low:.3f} and {high:.3f}")
    print(f"offset of the box's centre, shares of its side: {across:+.3f} across, {down:+.3f} down")
    picture = np.tile(large, (16, 21))  # 12 megapixels
    for side in (SEARCH_SIDE, max(picture.shape)):
        part = picture if side == max(picture.shape) else picture[: side * 3 // 4, :side]
        start = time.perf_counter()
        find_faces(np.ascontiguousarray(part))
        print(f"search of {part.shape[1]} x {part.shape[0]}: {1000 * (time.perf_counter() - start):.0f} ms")
    print(f"machine: {machine()}")


if __name__ == "__main__":
    main()
