"""The hierarchical model: a planner finds a topic for each sentence, and a writer writes each from its topic.

Legend: N rows, T tokens, S sentences that begin within them, W places of the longest sentence, D width, H hidden,
Y vocabulary. After Krause et al. (arXiv 1611.06607) and Jing et al. (arXiv 1711.08195): after each mark (a full
stop, a section's name) the planner looks at the memory with what was written so far in mind, and its topic is the
writer's first state and part of every step; the writer knows nothing of other sentences. What ends a report is
the first word after a full stop, which comes from a topic of its own. GRUs stand for the papers' LSTMs: a GRU's
output is its whole state, so a report can be taken up in the middle of a sentence. All sentences of a
teacher-forced report are written side by side, at the cost of some padding. Knows ids only, no words.
"""

import torch
from torch import Tensor, nn

from pipeline.decoding import State
from pipeline.models.attention import AdditiveAttention
from pipeline.models.memory import Memory
from pipeline.models.shape import Shape
from pipeline.models.words import WordOutput


class HierarchicalDecoder(nn.Module):
    """Memory and the words so far -> the next word."""

    marks: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, hidden = shape.width, shape.hidden
        self.register_buffer("marks", torch.tensor(shape.marks, dtype=torch.long), persistent=False)
        self.words = nn.Embedding(shape.vocabulary, width)
        self.read = nn.GRU(width, hidden, batch_first=True)
        self.attention = AdditiveAttention(hidden, width, width // 2)
        self.plan = nn.GRU(hidden + width, hidden, batch_first=True)
        self.begin_plan = nn.Linear(width, hidden)
        self.topic = nn.Linear(hidden + width, width)
        self.begin_sentence = nn.Linear(width, hidden)
        self.write = nn.GRU(2 * width, hidden, batch_first=True)
        self.before_words = nn.Linear(hidden + width, width)
        self.dropout = nn.Dropout(shape.dropout)
        self.output = WordOutput(shape)

    def prepare(self, memory: Memory) -> Memory:
        """Add the keys, which are the same for every sentence."""
        return {**memory, "keys": self.attention.key(memory["slots"])}

    def begin(self, memory: Memory) -> State:
        """Nothing was read or planned; what comes before the first mark is written from the memory's sum."""
        plan, topic = torch.tanh(self.begin_plan(memory["whole"])), torch.tanh(memory["whole"])
        return {
            "read": torch.zeros_like(plan),
            "plan": plan,
            "topic": topic,
            "write": torch.tanh(self.begin_sentence(topic)),
        }

    def forward(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """[N, T] after `state` -> logits [N, T, Y] and the state after them."""
        words = self.dropout(self.words(tokens))
        read, last = self.read(words, state["read"].unsqueeze(0).contiguous())
        begins = torch.isin(tokens, self.marks)
        sentence = begins.cumsum(1)  # [N, T]: 0 for the one that was open
        plans, topics = self._plan(read, begins, sentence, state, memory)
        rows = torch.arange(len(tokens), device=tokens.device)
        told = self.dropout(topics[rows.unsqueeze(1), sentence])
        written = self._write(torch.cat([words, told], dim=-1), begins, sentence, topics, state["write"])
        output = torch.tanh(self.before_words(self.dropout(torch.cat([written, told], dim=-1))))
        open_one = sentence[:, -1]
        after = {"read": last[0], "plan": plans[rows, open_one], "topic": topics[rows, open_one]}
        return self.output(self.dropout(output), self.words.weight), {**after, "write": written[:, -1]}

    def _plan(
        self, read: Tensor, begins: Tensor, sentence: Tensor, state: State, memory: Memory
    ) -> tuple[Tensor, Tensor]:
        """Plans [N, 1 + S, H] and topics [N, 1 + S, D]: first those that were there, then one per sentence."""
        plans, topics = state["plan"].unsqueeze(1), state["topic"].unsqueeze(1)
        count = int(sentence[:, -1].max())
        if not count:
            return plans, topics
        rows, places = begins.nonzero(as_tuple=True)
        so_far = read.new_zeros(len(read), count, read.shape[-1])
        so_far[rows, sentence[rows, places] - 1] = read[rows, places]
        seen, _ = self.attention(so_far, memory)
        planned, _ = self.plan(
            self.dropout(torch.cat([so_far, seen], dim=-1)), state["plan"].unsqueeze(0).contiguous()
        )
        found = torch.tanh(self.topic(torch.cat([planned, seen], dim=-1)))
        return torch.cat([plans, planned], dim=1), torch.cat([topics, found], dim=1)

    def _write(self, told: Tensor, begins: Tensor, sentence: Tensor, topics: Tensor, unfinished: Tensor) -> Tensor:
        """What the writer says at each place [N, T, H]: a row per sentence, laid side by side and put back."""
        count, place = topics.shape[1], torch.arange(told.shape[1], device=told.device)
        inside = place - torch.where(begins, place, 0).cummax(1).values  # [N, T] place within the sentence
        longest = int(inside.max()) + 1
        rows = torch.arange(len(told), device=told.device).unsqueeze(1)
        laid = told.new_zeros(len(told), count, longest, told.shape[-1])
        laid[rows, sentence, inside] = told
        first = torch.cat(
            [unfinished.unsqueeze(1), torch.tanh(self.begin_sentence(topics[:, 1:]))], dim=1
        )  # what was open goes on, the others begin from their topics
        written, _ = self.write(laid.flatten(0, 1), first.flatten(0, 1).unsqueeze(0).contiguous())
        result: Tensor = written.view(len(told), count, longest, -1)[rows, sentence, inside]
        return result
