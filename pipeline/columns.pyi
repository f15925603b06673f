from typing_extensions import Buffer

def resample(
    pixels: Buffer, columns: int, first: Buffer, count: Buffer, weights: Buffer, out: Buffer, /
) -> None: ...
