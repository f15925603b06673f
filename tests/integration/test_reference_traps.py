"""Each way in which a header tells how its values are to be seen, in an object made for it: as DCMTK shows it.

Real files hold few of these; here each stands alone, and DCMTK judges. What is left out is what DCMTK 3.6.7 does
not know: LINEAR_EXACT, padding, a window that must be replaced.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tests import reference
from tests.dicom_builder import dicom_bytes, item, ramp
from tests.gateless import show

IMAGE = ramp(64, 64)
SIGNED = (IMAGE.astype(np.int32) - 2048).astype(np.int16)
MASKED = (SIGNED.view(np.uint16) & 0x0FFF).astype(np.uint16)
WINDOW: dict[str, Any] = {"WindowCenter": 2000, "WindowWidth": 3000}
FALLING = np.linspace(4095, 0, 4096).astype("<u2").tobytes()
CURVE = (np.sqrt(np.linspace(0, 1, 4096)) * 255).astype("<u2").tobytes()


def _lut(data: bytes, bits: int, first: int = 0) -> Any:
    lut = item(LUTDescriptor=[4096, first, bits], LUTData=data)
    lut[0]["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    return lut


TRAPS: dict[str, tuple[NDArray[Any], dict[str, Any]]] = {
    "MONOCHROME1": (IMAGE, {**WINDOW, "PhotometricInterpretation": "MONOCHROME1"}),
    "MONOCHROME1 and a narrow window": (
        IMAGE,
        {"WindowCenter": 900, "WindowWidth": 100, "PhotometricInterpretation": "MONOCHROME1"},
    ),
    "MONOCHROME1 and shape INVERSE": (
        IMAGE,
        {**WINDOW, "PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ),
    "MONOCHROME1 and a VOI LUT": (
        IMAGE,
        {"VOILUTSequence": _lut(CURVE, 8), "PhotometricInterpretation": "MONOCHROME1"},
    ),
    "VOI LUT beside a window": (IMAGE, {**WINDOW, "VOILUTSequence": _lut(CURVE, 8)}),
    "VOI LUT that begins below zero": (
        SIGNED,
        {"PixelRepresentation": 1, "VOILUTSequence": _lut(CURVE, 8, -2048)},
    ),
    "SIGMOID": (IMAGE, {**WINDOW, "VOILUTFunction": "SIGMOID"}),
    "window of width 2": (IMAGE, {"WindowCenter": 2000, "WindowWidth": 2}),
    "several windows": (IMAGE, {"WindowCenter": [1000, 3000], "WindowWidth": [500, 100]}),
    "rescale": (IMAGE, {"WindowCenter": 3996, "WindowWidth": 8192, "RescaleSlope": 2, "RescaleIntercept": -100}),
    "negative slope": (
        IMAGE,
        {"WindowCenter": -17000, "WindowWidth": 40000, "RescaleSlope": -10, "RescaleIntercept": 3000},
    ),
    "Modality LUT": (IMAGE, {**WINDOW, "ModalityLUTSequence": _lut(FALLING, 12)}),
    "sign": (SIGNED, {"WindowCenter": 0, "WindowWidth": 3000, "PixelRepresentation": 1}),
    "sign without its upper bits": (MASKED, {"WindowCenter": 0, "WindowWidth": 3000, "PixelRepresentation": 1}),
    "high bit 15": (IMAGE << 4, {**WINDOW, "HighBit": 15}),
    "overlay in the upper bits": (np.where(ramp(64, 64) % 97 == 0, IMAGE | 0x8000, IMAGE), WINDOW),
    "16 bits": (ramp(64, 64, top=65535), {"bits": 16, "WindowCenter": 40000, "WindowWidth": 50000}),
    "8 bits": (ramp(64, 64, top=255).astype(np.uint8), {}),
    "8 bits and a window": (
        ramp(64, 64, top=255).astype(np.uint8),
        {"WindowCenter": 100, "WindowWidth": 80},
    ),
    "three frames": (IMAGE, {**WINDOW, "NumberOfFrames": 3, "PixelData": IMAGE.tobytes() + b"\xff" * 16384}),
    "implicit": (IMAGE, {**WINDOW, "syntax": ImplicitVRLittleEndian}),
    "deflated": (IMAGE, {**WINDOW, "syntax": DeflatedExplicitVRLittleEndian}),
    "big endian": (
        IMAGE,
        {**WINDOW, "syntax": ExplicitVRBigEndian, "PixelData": IMAGE.astype(">u2").tobytes()},
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_it_is_shown_as_dcmtk_shows_it(trap: str, tmp_path: Path) -> None:
    reference.need_tools()
    pixels, elements = TRAPS[trap]
    path = tmp_path / "object.dcm"
    path.write_bytes(dicom_bytes(pixels, **elements))
    ours = show(path).image.pixels
    choice = reference.declared(reference.header(path))
    native = reference.decoded(path, elements.get("syntax", ExplicitVRLittleEndian), tmp_path)
    theirs = reference.shown(native, choice, tmp_path)
    assert ours.std() > 20
    assert np.abs(ours.astype(int) - theirs).max() <= 1
