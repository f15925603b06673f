"""Changes that a radiograph survives: none is a mirror image, every view has its own, a seed repeats them."""

import torch

from training.augment import augment
from training.features import _variants


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_view_of_a_batch_is_changed_in_its_own_way() -> None:
    same = (torch.arange(48 * 40).view(1, 48, 40) % 251).to(torch.uint8).expand(8, -1, -1)
    seen = augment(same, seeded(3))
    assert (seen.dtype, seen.shape) == (torch.uint8, same.shape)
    assert len({tuple(view.flatten().tolist()) for view in seen}) == 8
    assert torch.equal(seen, augment(same, seeded(3)))
    assert not torch.equal(seen, augment(same, seeded(4)))


def test_a_circle_stays_round_in_a_view_that_is_no_square() -> None:
    rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(64.0), indexing="ij")
    disc = (((rows - 47.5) ** 2 + (columns - 31.5) ** 2) < 14**2).to(torch.uint8) * 255
    for view in augment(disc.expand(12, -1, -1), seeded(0)) > 128:
        tall, wide = int(view.any(1).sum()), int(view.any(0).sum())
        assert abs(tall - wide) <= 2
        assert 22 <= tall <= 34


def test_the_mean_change_is_none() -> None:
    grey = torch.full((200, 32, 32), 120, dtype=torch.uint8)
    middle = augment(grey, seeded(0))[:, 12:20, 12:20].float()
    assert abs(float(middle.mean()) - 120) < 4
    assert float(middle.mean((1, 2)).std()) > 5


def test_copies_follow_their_view_and_the_first_is_clean() -> None:
    views = torch.stack([torch.full((16, 16), 40), torch.full((16, 16), 200)]).to(torch.uint8)
    seen = _variants(views, 3, seeded(0))
    assert torch.equal(seen[0], views[0])
    assert torch.equal(seen[3], views[1])
    assert [int(view.float()[4:12, 4:12].mean() > 120) for view in seen] == [0, 0, 0, 1, 1, 1]
    assert _variants(views, 1, seeded(0)) is views
