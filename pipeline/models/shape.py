"""The shape of a report model: sizes, and the switches by which each part can be left out and measured."""

from dataclasses import dataclass

from pipeline.models.encoder import EncoderConfig

VIEWS = 2  # frontal, lateral


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What a checkpoint's manifest says under `config`."""

    vocabulary: int
    concepts: int
    encoder: EncoderConfig
    grid: int = 4  # the memory holds grid × grid places per view, each the mean of what the CNN saw there
    width: int = 256
    hidden: int = 384  # of recurrent decoders
    layers: int = 3  # of the transformer
    heads: int = 4
    dropout: float = 0.3
    head_dropout: float = 0.4
    use_image: bool = True  # places of the views as memory
    use_both_views: bool = True
    use_concepts: bool = True  # evidence of the concept head as memory
    use_indication: bool = True  # the clinical indication as memory
    use_multimodal: bool = False  # m-RNN: words, state and image meet again before each word
    use_beliefs: bool = False  # the whole memory corrects how likely each concept is, for guidance
    marks: tuple[int, ...] = ()  # ids after which a sentence begins, for who plans sentences; none: all is one
