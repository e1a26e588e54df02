"""Trained codes: gradients, limits, and an export whose scores are our own."""

import numpy as np
import pytest
import torch

from retrograd.errors import InputError
from retrograd.ops.labels import Label
from retrograd.quantizers import trainable
from retrograd.quantizers.product import ProductQuantizer
from retrograd.quantizers.residual import ResidualQuantizer
from retrograd.quantizers.trainable import ASSIGNMENTS, KINDS, TrainableQuantizer

N, D, B, M, K = 60, 8, 5, 4, 6


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def moved(kind: str, *, dtype: torch.dtype = torch.float64, codes: int = K, **options) -> TrainableQuantizer:
    """A quantiser whose parameters have left their start."""
    quantizer = TrainableQuantizer.start(drawn(N, D, dtype=dtype), M, codes, kind=kind, **options).to(dtype)
    with torch.no_grad():
        for at, weight in enumerate(quantizer.parameters()):
            weight += 0.2 * drawn(*weight.shape, seed=at, dtype=dtype)
    return quantizer


@pytest.mark.parametrize("kind", KINDS)
def test_look_up_tables_give_the_inner_products_of_what_codes_stand_for(kind):
    quantizer, queries = moved(kind), drawn(B, D, seed=1)
    codes = quantizer.assign(drawn(N, D))
    wanted = queries @ quantizer.decode(codes).T
    torch.testing.assert_close(quantizer.scores(queries, codes), wanted, atol=1e-12, rtol=0)
    assert codes.shape == (N, M)
    assert quantizer.bytes_per_vector == 2  # four codes of three bits


@pytest.mark.parametrize("kind", ["product", "residual"])
def test_an_untrained_one_is_the_quantiser_it_was_started_from(kind):
    vectors = drawn(N, D).float()
    plain = {"product": ProductQuantizer, "residual": ResidualQuantizer}[kind].fit(
        vectors.numpy(), M, K, seed=3
    )
    for assignment in ("fixed", "hard"):
        quantizer = TrainableQuantizer.start(vectors, M, K, kind=kind, assignment=assignment, seed=3)
        codes = quantizer.assign(vectors)
        np.testing.assert_array_equal(codes.numpy(), plain.encode(vectors.numpy()))
        np.testing.assert_allclose(quantizer.decode(codes).detach(), plain.decode(codes.numpy()), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "assignment", ["softmax", "sparsemax", "soft_topk", "straight_through", "gumbel_topk"]
)
def test_a_cold_assignment_is_the_hard_one(kind, assignment):
    quantizer, vectors = moved(kind, assignment=assignment), drawn(N, D)
    hard = quantizer.decode(quantizer.assign(vectors))
    torch.testing.assert_close(quantizer(vectors, temperature=1e-7), hard, atol=1e-9, rtol=0)
    if assignment not in ("straight_through", "sparsemax"):
        assert float((quantizer(vectors, temperature=1.0) - hard).abs().max().detach()) > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_a_hot_softmax_is_the_mean_of_the_codes(kind):
    quantizer = moved(kind, assignment="softmax")
    means = [book.mean(0) for book in quantizer.codebooks]
    mean = sum(means) if kind == "residual" else torch.cat(means)
    mean = mean if quantizer.rotation is None else mean @ quantizer.rotation()
    torch.testing.assert_close(quantizer(drawn(3, D), temperature=1e9), mean.expand(3, D), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("assignment", ["softmax", "soft_topk", "gumbel_topk"])
def test_soft_codes_have_the_gradient_of_their_value(kind, assignment):
    quantizer = moved(kind, assignment=assignment)
    names = [name for name, _ in quantizer.named_parameters()]

    def value(vectors, temperature, *weights):
        given = dict(zip(names, weights, strict=True)), (vectors,)
        noise = torch.Generator().manual_seed(0)
        return torch.func.functional_call(quantizer, *given, {"temperature": temperature, "generator": noise})

    tau = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    weights = [weight.detach().clone().requires_grad_() for weight in quantizer.parameters()]
    assert torch.autograd.gradcheck(value, (drawn(2, D, seed=9).requires_grad_(), tau, *weights))


@pytest.mark.parametrize("kind", KINDS)
def test_scores_have_the_gradient_of_their_value(kind):
    quantizer, codes = moved(kind), moved(kind).assign(drawn(4, D))
    weights = list(quantizer.parameters())
    queries = drawn(2, D, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda u, *_: quantizer.scores(u, codes), (queries, *weights))


def test_straight_through_is_hard_forward_and_soft_backward():
    vectors, pull = drawn(3, D, seed=4), drawn(3, D, seed=5)
    gradients = []
    for assignment in ("straight_through", "soft_topk"):
        quantizer, points = moved("product", assignment=assignment), vectors.clone().requires_grad_()
        value = quantizer(points, temperature=0.7)
        if assignment == "straight_through":
            torch.testing.assert_close(value, quantizer.decode(quantizer.assign(vectors)))
        (value * pull).sum().backward()
        gradients.append(points.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("kind", KINDS)
def test_fixed_codes_stay_when_what_they_stand_for_moves(kind):
    vectors = drawn(N, D)
    before = TrainableQuantizer.start(vectors, M, K, kind=kind).assign(vectors)
    fixed, live = moved(kind), moved(kind, assignment="hard")
    assert torch.equal(fixed.assign(vectors), before)
    assert not torch.equal(live.assign(vectors), before)
    assert fixed.label is live.label is Label.EXACT
    assert moved(kind, assignment="softmax").label is Label.BIASED
    value = fixed(vectors.requires_grad_())
    torch.testing.assert_close(value, fixed.decode(before))
    value.sum().backward()
    assert vectors.grad is None
    assert all(book.grad.any() for book in fixed.codebooks)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("assignment", [name for name in ASSIGNMENTS if name != "gumbel_topk"])
def test_the_order_of_vectors_and_queries_does_not_matter(kind, assignment):
    quantizer, vectors, queries = moved(kind, assignment=assignment), drawn(N, D), drawn(B, D, seed=1)
    order, turn = torch.randperm(N), torch.randperm(B)
    codes = quantizer.assign(vectors)
    assert torch.equal(quantizer.assign(vectors[order]), codes[order])
    torch.testing.assert_close(
        quantizer(vectors[order], temperature=0.5), quantizer(vectors, temperature=0.5)[order]
    )
    torch.testing.assert_close(
        quantizer.scores(queries[turn], codes[order]), quantizer.scores(queries, codes)[turn][:, order]
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("codes", [6, 256])
def test_the_export_scores_and_ranks_as_we_do(kind, codes):
    faiss = pytest.importorskip("faiss", reason="faiss is not installed (extra faiss)")
    vectors = drawn(700, D, dtype=torch.float32)
    quantizer = TrainableQuantizer.start(vectors, M, codes, kind=kind)
    with torch.no_grad():
        for at, weight in enumerate(quantizer.parameters()):
            weight += 0.1 * drawn(*weight.shape, seed=at, dtype=torch.float32)
    queries, found = drawn(20, D, seed=1, dtype=torch.float32), quantizer.assign(vectors)
    ours = quantizer.scores(queries, found).detach().numpy()
    index = quantizer.to_faiss(found)
    scale = np.abs(ours).max()
    for opened in (index, faiss.deserialize_index(faiss.serialize_index(index))):
        theirs, rows = opened.search(queries.numpy(), len(vectors))
        assert (np.sort(rows, axis=1) == np.arange(len(vectors))).all()
        assert np.abs(theirs - np.take_along_axis(ours, rows, axis=1)).max() <= 1e-5 * scale
        best = np.argsort(-ours, axis=1, kind="stable")[:, :10]
        ordered = -np.sort(-ours, axis=1)[:, :11]
        apart = (ordered[:, :-1] - ordered[:, 1:]).min(axis=1) > 1e-5 * scale
        assert apart.any() or codes == 6
        np.testing.assert_array_equal(rows[apart, :10], best[apart])
    assert index.sa_code_size() == quantizer.bytes_per_vector
    np.testing.assert_allclose(index.reconstruct_n(0, 5), quantizer.decode(found[:5]).detach(), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_faiss_adds_later_gets_the_live_codes(kind):
    pytest.importorskip("faiss", reason="faiss is not installed (extra faiss)")
    quantizer = moved(kind, dtype=torch.float32, assignment="hard")
    vectors = drawn(N, D, seed=7, dtype=torch.float32)
    index = quantizer.to_faiss(quantizer.assign(vectors[:10]))
    index.add(vectors[10:].numpy())
    wanted = quantizer.decode(quantizer.assign(vectors)).detach().numpy()
    stored = index.reconstruct_n(0, N)
    same = np.isclose(stored, wanted, atol=1e-5).all(axis=1)
    assert same[:10].all()
    assert same.mean() > 0.95


def test_uneven_pieces_work_here_and_are_refused_by_the_export():
    quantizer, vectors = TrainableQuantizer.start(drawn(N, 7), 3, K, kind="product"), drawn(N, 7)
    codes = quantizer.assign(vectors)
    torch.testing.assert_close(quantizer.scores(vectors, codes), vectors @ quantizer.decode(codes).T)
    pytest.importorskip("faiss", reason="faiss is not installed (extra faiss)")
    with pytest.raises(InputError, match="levels must divide 7"):
        quantizer.to_faiss(codes)


def test_many_vectors_get_their_codes_in_blocks(monkeypatch):
    quantizer, vectors = moved("residual"), drawn(N, D)
    whole = quantizer.assign(vectors)
    monkeypatch.setattr(trainable, "_ROWS_AT_ONCE", 7)
    assert torch.equal(quantizer.assign(vectors), whole)
    assert quantizer.assign(vectors[:0]).shape == (0, M)


def test_saved_weights_give_the_same_codes_and_scores():
    one = moved("rotated_product")
    other = TrainableQuantizer.start(drawn(N, D, seed=8), M, K)
    other.load_state_dict(one.state_dict())
    codes = one.assign(drawn(N, D))
    assert torch.equal(other.assign(drawn(N, D)), codes)
    assert torch.equal(other.scores(drawn(B, D), codes), one.scores(drawn(B, D), codes))


@pytest.mark.parametrize(
    ("books", "options", "message"),
    [
        ([], {}, "codebooks of shapes"),
        ([torch.zeros(2, 3), torch.zeros(2, 4)], {"kind": "residual"}, "no residual codes"),
        ([torch.zeros(0, 3)], {}, "codebooks of shapes"),
        ([torch.zeros(2, 3)], {"kind": "tree"}, "product, rotated_product, residual"),
        ([torch.zeros(2, 3)], {"assignment": "best"}, "fixed, softmax"),
        ([torch.zeros(2, 3)], {"rotation": torch.eye(3)}, "has no rotation"),
        ([torch.zeros(2, 3)], {"kind": "rotated_product", "rotation": torch.ones(3, 3)}, "orthogonal"),
    ],
)
def test_what_does_not_fit_is_refused(books, options, message):
    with pytest.raises(ValueError, match=message):
        TrainableQuantizer(books, **options)
    with pytest.raises(ValueError, match="temperature"):
        moved("product", assignment="softmax")(drawn(2, D), temperature=0.0)
