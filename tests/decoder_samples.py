"""Writes `pipeline/decoder_samples.json`: one tiny frame per compressed syntax, of a slope made by a formula.

Run once, with `python -m tests.decoder_samples`; the answers are kept, so that a decoder is held to what an
earlier encoder wrote, not to itself.
"""

import json
from base64 import b64encode
from pathlib import Path

from pipeline.decoders import sample_image
from tests.codestreams import ENCODERS

TABLE = Path(__file__).parents[1] / "pipeline" / "decoder_samples.json"


def main() -> None:
    """Encode each; of several encoders for one syntax the first counts."""
    samples: dict[str, dict[str, object]] = {}
    for encoder in ENCODERS.values():
        bits = 12 if 12 in encoder.depths else encoder.depths[-1]
        frame = bytes(encoder.encode(sample_image(bits), bits))
        samples.setdefault(encoder.syntax, {"bits": bits, "frame": b64encode(frame).decode("ascii")})
    TABLE.write_text(json.dumps(samples, indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
