"""The encoder-decoder: a CNN tells an LSTM once what it saw, and the LSTM writes.

Legend: N rows, T tokens, D width, H hidden, Y vocabulary. After the seed paper's first model (Vinyals et al.,
"Show and Tell", CVPR 2015): the sum of the memory is the first state and goes into every step; there is no
attention. With `use_multimodal` the word, the state and the image meet again before each word is chosen, as in
m-RNN (Mao et al., ICLR 2015). Knows ids only, no words.
"""

import torch
from torch import Tensor, nn

from pipeline.decoding import State
from pipeline.models.memory import Memory
from pipeline.models.shape import Shape
from pipeline.models.words import WordOutput


class EncoderDecoder(nn.Module):
    """An LSTM over words and the memory's sum."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, hidden = shape.width, shape.hidden
        self.words = nn.Embedding(shape.vocabulary, width)
        self.dropout = nn.Dropout(shape.dropout)
        self.start = nn.Linear(width, 2 * hidden)
        self.write = nn.LSTM(2 * width, hidden, batch_first=True)
        self.multimodal = shape.use_multimodal
        self.before_words = nn.Linear(hidden + 2 * width if shape.use_multimodal else hidden, width)
        self.output = WordOutput(shape)

    def prepare(self, memory: Memory) -> Memory:
        """Nothing beyond the memory's sum is needed."""
        return {"whole": memory["whole"]}

    def begin(self, memory: Memory) -> State:
        """The first state: what the memory says as a whole."""
        hidden, cell = torch.tanh(self.start(memory["whole"])).chunk(2, dim=-1)
        return {"hidden": hidden, "cell": cell}

    def forward(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """[N, T] after `state` -> logits [N, T, Y] and the state after them."""
        words = self.dropout(self.words(tokens))
        whole = memory["whole"].unsqueeze(1).expand_as(words)
        first = (state["hidden"].unsqueeze(0).contiguous(), state["cell"].unsqueeze(0).contiguous())
        written, (hidden, cell) = self.write(torch.cat([words, whole], dim=-1), first)
        joined = torch.cat([written, words, whole], dim=-1) if self.multimodal else written
        output = self.dropout(torch.tanh(self.before_words(self.dropout(joined))))
        return self.output(output, self.words.weight), {"hidden": hidden[0], "cell": cell[0]}
